"""Roots: small Debian systems for another processor, in which commands run by emulation.

Takes in a Debian suite and an architecture, hands on a `Root` that runs commands inside. A base is
made once by debootstrap and never changed; every `Root` is a fresh overlay of it. All mounts are in
a mount namespace of this process and end with it. The machine's own package sources, pip settings
and name servers are passed through.
"""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "pi"
PACKAGES = "python3,python3-venv,ca-certificates"
USER = "pi"
_QEMU = {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}
# Magic and mask of an ELF program for the processor, as qemu's own qemu-binfmt-conf.sh has them.
_MAGIC = {
    "arm64": (
        r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
        r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
    ),
    "armhf": (
        r"\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00",
        r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
    ),
}
# By board: qemu's name of its core, and what /proc/cpuinfo says of it. XNNPACK chooses its kernels
# by both, and the machine's own cpuinfo, of another processor, would crash it.
BOARDS = {
    "Pi 3": ("cortex-a53", "fp asimd evtstrm crc32 cpuid", "0xd03", "4"),
    "Pi 4": ("cortex-a72", "fp asimd evtstrm crc32 cpuid", "0xd08", "3"),
    "Pi 5": (
        "cortex-a76",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
        "dcpop asimddp",
        "0xd0b",
        "1",
    ),
}
_NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}
_NEWNS, _REC, _PRIVATE = 0x20000, 0x4000, 0x40000


def prepare(architectures: set[str]) -> None:
    """Check what is needed, register the emulators, and enter a mount namespace of our own."""
    if os.geteuid() != 0:
        sys.exit("this makes and enters Debian systems of its own, which only root may; use sudo")
    foreign = architectures - {_NATIVE.get(os.uname().machine, "")}
    programs = ["debootstrap", *(f"{_QEMU[name]}-static" for name in foreign)]
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        sys.exit(
            f"{', '.join(missing)} is missing; install it with: "
            "apt install debootstrap qemu-user-static"
        )
    for name in foreign:
        _register(name)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEWNS) or libc.mount(b"none", b"/", None, _REC | _PRIVATE, None):
        sys.exit(
            "this machine lets nobody make a mount namespace "
            f"({os.strerror(ctypes.get_errno())}); run it on one that does, outside of a container"
        )


def _register(architecture: str) -> None:
    folder = Path("/proc/sys/fs/binfmt_misc")
    if not (folder / "register").exists():
        _must(
            ["mount", "-t", "binfmt_misc", "binfmt_misc", str(folder)],
            "the kernel cannot start programs of other processors (binfmt_misc)",
        )
    known = folder / _QEMU[architecture]
    # F: the emulator is opened now, so that it need not lie inside the roots.
    if known.exists() and re.search(r"flags: \w*F", known.read_text()):
        return
    magic, mask = _MAGIC[architecture]
    program = shutil.which(f"{_QEMU[architecture]}-static")
    try:
        if known.exists():
            known.write_text("-1")
        (folder / "register").write_text(
            f":{_QEMU[architecture]}:M::{magic}:{mask}:{program}:F", newline=""
        )
    except OSError as error:
        sys.exit(f"cannot register {program} with the kernel ({error.strerror})")


def base(suite: str, architecture: str) -> Path:
    """The untouched system of `suite`, made if it is not there yet."""
    folder = CACHE / f"{suite}-{architecture}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = folder.with_name(folder.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        command = ["debootstrap", f"--arch={architecture}", "--variant=minbase"]
        command += [f"--include={PACKAGES}", suite, str(unfinished), *_mirror()]
        _must(command, f"debootstrap could not make {folder.name}", log=CACHE / "debootstrap.log")
        for archive in unfinished.glob("var/cache/apt/archives/*.deb"):
            archive.unlink()
        unfinished.rename(folder)
    return folder


class Root:
    """A fresh system on an overlay; `close()`, or leaving `with`, forgets it."""

    def __init__(self, suite: str, architecture: str) -> None:
        self.suite, self.architecture = suite, architecture
        lower = base(suite, architecture)
        _forget_the_dead(CACHE / "layers")
        self._layers = CACHE / "layers" / f"{lower.name}.{os.getpid()}"
        shutil.rmtree(self._layers, ignore_errors=True)
        self.path = self._layers / "root"
        for name in ("upper", "work", "root"):
            (self._layers / name).mkdir(parents=True)
        self._mounts: list[Path] = []
        layers = f"lowerdir={lower},upperdir={self._layers}/upper,workdir={self._layers}/work"
        self._mount("-t", "overlay", "-o", layers, "overlay", at=self.path)
        self._mount("-t", "proc", "proc", at=self.path / "proc")
        self._mount("--rbind", "/sys", at=self.path / "sys")
        self._processor: dict[str, str] = {}
        self._emulated = architecture == "arm64" and architecture != _NATIVE.get(os.uname().machine)
        if self._emulated:
            (self._layers / "cpuinfo").touch()
            self._mount("--bind", f"{self._layers}/cpuinfo", at=self.path / "proc/cpuinfo")
        self.become("Pi 4")
        self._mount("-t", "tmpfs", "tmpfs", at=self.path / "dev")
        for device in ("null", "zero", "full", "random", "urandom", "tty"):
            (self.path / "dev" / device).touch()
            self._mount("--bind", f"/dev/{device}", at=self.path / "dev" / device)
        (self.path / "dev/shm").mkdir(mode=0o1777)
        (self.path / "dev/fd").symlink_to("/proc/self/fd")
        self._pass_through()
        self.run(f"useradd --create-home {USER}")

    def __enter__(self) -> Root:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmount and delete what was changed."""
        for path in reversed(self._mounts):
            subprocess.run(["umount", "--recursive", "--lazy", path], check=True)  # noqa: S607
        shutil.rmtree(self._layers)

    def become(self, board: str) -> None:
        """Run on that board's kind of core from now on, where the processor is emulated."""
        if self._emulated:
            core, features, part, revision = BOARDS[board]
            self._processor = {"QEMU_CPU": core}
            each = (
                f"BogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\n"
                "CPU architecture: 8\nCPU variant\t: 0x0\n"
                f"CPU part\t: {part}\nCPU revision\t: {revision}\n\n"
            )
            (self._layers / "cpuinfo").write_text(
                "".join(f"processor\t: {number}\n{each}" for number in range(4))
            )

    def run(
        self,
        command: str,
        user: str = "root",
        check: bool = True,
        folder: str = "/",
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command inside; with `check` a failure ends the proof with its output."""
        home = "/root" if user == "root" else f"/home/{user}"
        settings = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": home,
            "USER": user,
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            **self._processor,
            **environment,
        }
        done = subprocess.run(
            ["chroot", f"--userspec={user}:{user}", str(self.path), "/usr/bin/env", "-i"]
            + [f"{name}={value}" for name, value in settings.items()]
            + ["/bin/bash", "-c", f"cd {shlex.quote(folder)} && {command}"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if check and done.returncode:
            sys.exit(
                f"\nin the {self.suite} root `{command}` ended with {done.returncode}:\n"
                + (done.stdout + done.stderr)[-4000:]
            )
        return done

    def put(self, source: Path, where: str, user: str = "root") -> None:
        """Copy a file or a folder into the root."""
        target = self.path / where.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
        self.run(f"chown -R {user}:{user} {shlex.quote(where)}")

    def text(self, where: str) -> str:
        """The text of a file in the root."""
        return (self.path / where.lstrip("/")).read_text()

    def _mount(self, *arguments: str, at: Path) -> None:
        _must(["mount", *arguments, str(at)], f"cannot mount {at.name}")
        self._mounts.append(at)

    def _pass_through(self) -> None:
        shutil.copyfile("/etc/resolv.conf", self.path / "etc/resolv.conf")
        # No daemon may start in a root that has not been booted.
        policy = self.path / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        acquire = [
            line
            for line in _out(["apt-config", "dump"]).splitlines()
            if line.startswith("Acquire::") and "IndexTargets" not in line
        ]
        (self.path / "etc/apt/apt.conf.d/90machine").write_text("\n".join(acquire) + "\n")
        settings = _pip_settings()
        (self.path / "etc/pip.conf").write_text(
            "[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())
        )
        for word in " ".join(settings.values()).split():
            path = Path(word.removeprefix("file://"))
            if word.startswith("file://"):
                path = path.parent  # an index's pages point to files beside it
            if path.is_absolute() and path.exists():
                inside = self.path / path.relative_to("/")
                if path.is_dir():
                    inside.mkdir(parents=True, exist_ok=True)
                    self._mount("--bind", "--read-only", str(path), at=inside)
                else:
                    inside.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, inside)
        downloads = CACHE / "downloads" / self.suite
        downloads.mkdir(parents=True, exist_ok=True)
        archives = self.path / "var/cache/apt/archives"
        self._mount("--bind", str(downloads), at=archives)
        (archives / "partial").mkdir(exist_ok=True)


def _forget_the_dead(layers: Path) -> None:
    """Delete what killed processes left; their mounts have gone with them."""
    for folder in layers.glob("*.*"):
        if not Path("/proc", folder.suffix[1:]).exists():
            shutil.rmtree(folder)


def _pip_settings() -> dict[str, str]:
    """pip's settings of this machine; what the environment says comes last and so wins."""
    found = {}
    listed = _out([sys.executable, "-m", "pip", "config", "list"])
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        found[name.split(".", 1)[1]] = value.strip("'\"")
    return found


def _mirror() -> list[str]:
    """The Debian archive that this machine uses, if its sources name one."""
    for path in sorted(Path("/etc/apt").rglob("*")):
        if path.suffix in (".list", ".sources") and path.is_file():
            for line in path.read_text().splitlines():
                found = re.match(r"(?:URIs:|deb(?: \[.*?\])?) *(\S+/debian/?)(?: |$)", line)
                if found:
                    return [found[1]]
    return []


def _out(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _must(command: list[str], trouble: str, log: Path | None = None) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if log is not None:
        log.write_text(done.stdout)
    if done.returncode:
        sys.exit(f"{trouble}:\n{done.stdout[-2000:]}")
