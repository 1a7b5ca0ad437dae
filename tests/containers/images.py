"""The Dockerfile's own steps, run by buildah where there is no engine and no registry of images.

The two base images cannot be fetched, so they are made: Debian bookworm by debootstrap, whose Python is 3.11 too, at
/usr/bin instead of /usr/local/bin. All else is the Dockerfile as it stands.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from imports import ROOT

FULL, SLIM = "docker.io/library/python:3.11-bookworm", "docker.io/library/python:3.11-slim-bookworm"
IN_FULL = ("binutils", "python3-pip", "python3-venv")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
MIRROR = "http://deb.debian.org/debian"
SHARED_MEMORY = "dev/shm"
# What Debian's own slim images leave out, and what the package manager kept.
NOT_IN_SLIM = (
    "usr/share/doc usr/share/man usr/share/info usr/share/locale var/lib/apt/lists var/cache/apt var/cache/debconf"
)


def run(*command: object, **options) -> str:
    """Run a program and give what it printed; what it complained of is in the failure."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Image:
    """A built image: its configuration, as an engine would read it, and its files in a folder."""

    config: dict
    root: Path

    @property
    def environment(self) -> dict[str, str]:
        return dict(item.split("=", 1) for item in self.config["Env"])

    @property
    def megabytes(self) -> float:
        """What its files take."""
        return sum(file.lstat().st_size for file in self.root.rglob("*") if not file.is_dir()) / 1e6

    def parts(self, *folders: str) -> str:
        """What folders take of it, in MB, hard facts for the documentation."""
        return ", ".join(f"{name} {Image(self.config, self.root / name).megabytes:.0f}" for name in folders)


class Builder:
    """buildah, with a store of its own below a folder that other programs of this process find, too."""

    def __init__(self, folder: Path) -> None:
        for tool in ("buildah", "debootstrap"):
            assert shutil.which(tool), f"{tool} is missing: make test-containers installs it"
        assert os.geteuid() == 0, "only root may make a Debian root and mount it: run this as root"
        self.folder = folder
        driver = os.environ.get("STORAGE_DRIVER", "overlay")
        store = folder / "storage.conf"
        store.write_text(f'[storage]\ndriver = "{driver}"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/run"\n')
        os.environ |= {"BUILDAH_ISOLATION": "chroot", "CONTAINERS_STORAGE_CONF": str(store)}

    def make_bases(self) -> None:
        """Both base images, under the names by which the Dockerfile asks for them."""
        root = self.folder / "debian"
        run("debootstrap", "--variant=minbase", "--include=ca-certificates,python3", "bookworm", root, MIRROR)
        (root / "usr/bin/python").symlink_to("python3")
        for folder in NOT_IN_SLIM.split():
            shutil.rmtree(root / folder, ignore_errors=True)
        for folder in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
            (root / folder).mkdir(parents=True)
        self._commit(root, SLIM)
        run("chroot", root, "apt-get", "update")
        run("chroot", root, "apt-get", "install", "--yes", "--no-install-recommends", *IN_FULL)
        self._commit(root, FULL)
        shutil.rmtree(root)

    def build(self, target: str) -> Image:
        """The Dockerfile up to the stage `target`."""
        self.build_folder(ROOT, target, "--target", target)
        config = json.loads(run("buildah", "inspect", "--type", "image", target))["Docker"]["config"]
        container = run("buildah", "from", "--pull-never", target)
        return Image(config, Path(run("buildah", "mount", container)))

    def build_folder(self, folder: Path, tag: str, *more: str) -> None:
        """A folder's Dockerfile, with what this machine lends mounted."""
        mounts = [part for source, inside in self._lent().items() for part in ("--volume", f"{source}:{inside}:ro")]
        # As Docker writes images: the other format keeps no HEALTHCHECK.
        known = ("--pull-never", "--format", "docker", "--network", "host")
        run("buildah", "build", *known, *mounts, *more, "--tag", tag, folder)

    def lend(self, base: str) -> str:
        """A base image with what this machine lends inside, for Docker, which mounts nothing; its name."""
        container = run("buildah", "from", "--pull-never", base)
        for source, inside in self._lent().items():
            run("buildah", "copy", "--quiet", container, source, inside)
        name = f"lent-{base.rpartition(':')[2]}"
        run("buildah", "commit", "--quiet", "--rm", "--format", "docker", container, name)
        return name

    def close(self) -> None:
        """Unmount and remove everything."""
        run("buildah", "umount", "--all")
        run("buildah", "rm", "--all")
        run("buildah", "rmi", "--all", "--force")

    def _lent(self) -> dict[Path, str]:
        """Files and their places in an image: this machine's certificates for pip and uv, Debian's Python for pip."""
        pip, uv = self.folder / "pip.conf", self.folder / "uv.toml"
        pip.write_text(f"[global]\ncert = {CERTIFICATES}\nbreak-system-packages = true\n")
        uv.write_text("system-certs = true\n")
        return {Path(CERTIFICATES): CERTIFICATES, pip: "/etc/pip.conf", uv: "/etc/uv/uv.toml"}

    def _commit(self, root: Path, name: str) -> None:
        container = run("buildah", "from", "scratch")
        run("buildah", "copy", "--quiet", container, root, "/")
        run("buildah", "config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", container)
        run("buildah", "commit", "--quiet", "--rm", container, name)


def start(
    image: Image,
    *command: str,
    writable: tuple[str, ...],
    user: int,
    mount: dict[Path, str] | None = None,
    environment: dict[str, str] | None = None,
    network: bool = True,
) -> subprocess.Popen[str]:
    """Run a command of the image as an engine does with a read-only root.

    Only the `writable` folders take files, and what is mounted; /dev/shm has 64 MB, as Docker gives it. Without
    `network` there is not even a loopback.
    """
    root = image.root
    lines = ["set -e", f"mount --bind {root} {root}"]
    for source, target in (mount or {}).items():
        lines += [f"mkdir -p {root}{target}", f"mount --bind {source} {root}{target}"]
    lines += [f"mount -t tmpfs -o mode=1777 tmpfs {root}{folder}" for folder in writable]
    lines += [f"mount --bind /dev {root}/dev", f"mount -t tmpfs -o mode=1777,size=64m tmpfs {root}/{SHARED_MEMORY}"]
    lines += [f"mount -t proc proc {root}/proc", f"mount -o remount,ro,bind {root}"]
    settings = image.environment | (environment or {})
    lines.append(
        f"exec chroot --userspec={user}:{user} {root} /usr/bin/env -i "
        + " ".join(f"'{name}={value}'" for name, value in settings.items())
        + f" /bin/sh -c 'cd {image.config['WorkingDir']} && exec \"$@\"' sh "
        + " ".join(f"'{part}'" for part in command)
    )
    apart = ["--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
    return subprocess.Popen(
        ["unshare", *apart, "sh", "-c", "\n".join(lines)],
        stdout=sys.stderr, stderr=sys.stderr, text=True,
    )  # fmt: skip
