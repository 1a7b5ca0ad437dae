"""`python main.py compare`: a few named candidates, trained on the same folds, and which of them is best.

* plan        what config/compare/<name>.yaml may say, and the candidates it makes of the active parameters
* candidates  one candidate -> its out-of-fold predictions and metrics, kept for the next call
* verdict     pure: intervals, and whether the best is better than the others
* report      the table, the verdict in words, the CSV
* command     all of it, from the file to the winner
"""
