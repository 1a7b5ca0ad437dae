"""The whole pipeline (python main.py), one stage of it (python main.py <stage>), or a tool."""

import sys

from cnnClassifier.cli import main

if __name__ == "__main__":
    sys.exit(main())
