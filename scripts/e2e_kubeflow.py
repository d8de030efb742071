"""Trains, trains again, refuses and recovers on Kubeflow's local runner; e2e_kubeflow.sh provides what it needs."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from kfp import local
from kubeflow_locally import Kill, Run, Try, run_package

RECIPE = "quickstart"
VOLUME = "/data"

# As a cluster with a strict policy would run them: any user, nothing writable but the volume and /tmp.
CONFINED: dict[str, Any] = {
    "user": "23456:0",
    "read_only": True,
    "tmpfs": {"/tmp": ""},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "network_mode": "host",
}


@dataclass(frozen=True)
class Site:
    """What all runs share.

    Attributes:
        work: folder of this trial; its folder `volume` stands in for the cluster's volume claim.
        image: what the containers run.
        metadata: URL of the database, whose password is in the environment as a cluster's secret would have it.
    """

    work: Path
    image: str
    metadata: str

    def prepare(self) -> None:
        """Has the image draw a catalogue into the volume."""
        for folder in ("volume", "kfp"):
            (self.work / folder).mkdir()
            (self.work / folder).chmod(0o777)
        command = ["catalogue", "--out", f"{VOLUME}/catalogue", "--products", "900"]
        docker.from_env(timeout=600).containers.run(self.image, command, remove=True, **self._options())

    def compile(self, name: str, *overrides: str) -> Path:
        """Has `fashion compile` write a package."""
        package = self.work / f"{name}.yaml"
        options = ["--recipe", RECIPE, "--image", self.image, "--out", str(package)]
        options += ["--pvc", "fashion", "--mount", VOLUME, "--metadata-secret", "fashion-metadata"]
        changes = [word for override in overrides for word in ("--set", override)]
        command = [sys.executable, "-m", "pipeline.cli", "compile", *options, *changes]
        done = subprocess.run(command, capture_output=True, text=True)
        expect(done.returncode == 0, f"fashion compile succeeds: {done.stderr}")
        return package

    def run(self, package: Path, kill: Kill | None = None) -> Run:
        """Runs a package on the catalogue."""
        password = {"FASHION_METADATA_PASSWORD": os.environ["FASHION_METADATA_PASSWORD"]}
        parameters = {"data": f"{VOLUME}/catalogue", "root": f"{VOLUME}/runs", "metadata": self.metadata}
        runner = local.DockerRunner(environment=password, **self._options())
        return run_package(package, parameters, runner, self.work / "kfp" / f"{package.stem}.log", show, kill)

    def models(self) -> set[str]:
        """Published versions."""
        return {path.name for path in self.find(f"serving/{RECIPE}/[0-9]*")}

    def find(self, pattern: str) -> set[Path]:
        """What the runs have written."""
        return set((self.work / "volume" / "runs").glob(pattern))

    def _options(self) -> dict[str, Any]:
        volume = docker.types.Mount(VOLUME, str(self.work / "volume"), type="bind")
        return {**CONFINED, "mounts": [volume], "labels": {"fashion-e2e": str(self.work)}}


def publishes(site: Site) -> str:
    """To a published model."""
    run = site.run(site.compile("package"))
    expect(run.succeeded, "the run succeeds")
    expect(all(each.exit_code == 0 for each in run.tries), "every container exits with 0")
    expect(len(site.models()) == 1, "one model is published")
    return f"version {site.models().pop()} from {len(run.tries)} containers"


def takes_from_the_cache(site: Site) -> str:
    """The same package again: only publishing is done anew, and changes nothing."""
    before = site.models()
    run = site.run(site.work / "package.yaml")
    expect(run.succeeded, "the run succeeds")
    anew = {each.task for each in run.tries if "cached" not in line_of(each)} - {"verdict"}
    expect(anew <= {"baseline", "publish"}, f"nothing else is done anew: {', '.join(sorted(anew))}")
    expect(site.models() == before, "the same model keeps its version")
    return f"done anew: {', '.join(sorted(anew))}"


def refuses(site: Site) -> str:
    """A model that has learnt nothing."""
    before = site.models()
    run = site.run(site.compile("refused", "model.weights=none", "train.head.epochs=1", "train.finetune=null"))
    expect(not run.succeeded, "the run fails")
    expect(run.exit_codes("publish") == [5], "publish exits with 5, and is not tried again")
    expect(run.exit_codes("verdict") == [5], "the exit handler says the same")
    expect(site.models() == before, "nothing is published")
    return "the run failed, and publish exited with 5"


def recovers(site: Site) -> str:
    """The Trainer's container is killed in the middle of its second phase."""
    before, finished = site.models(), site.find("work/**/head.npz")

    def halfway() -> bool:
        heads = site.find("work/**/head.npz") - finished
        return any(any(head.with_name("backup").glob("*")) for head in heads)

    run = site.run(site.compile("killed", "train.seed=2", "train.finetune.epochs=4"), Kill("train", halfway))
    expect(run.succeeded, "the run succeeds")
    expect(run.exit_codes("train") == [137, 0], "the Trainer is killed once, and then succeeds")
    first, second = (each for each in run.tries if each.task == "train")
    again = [line for line in second.said.splitlines() if " features " in line or " head · " in line]
    expect(not again, f"the second container goes on where the first was, and does not repeat: {again}")
    expect(len(site.models()) == len(before) + 1, "a new model is published")
    return f"killed after {first.seconds:.0f} s, finished by another container in {second.seconds:.0f} s"


def main(work: str, image: str, metadata: str) -> None:
    """Holds the four trials, in an order in which each builds on those before it."""
    site = Site(Path(work), image, metadata)
    began = time.monotonic()
    site.prepare()
    trials = (publishes, takes_from_the_cache, refuses, recovers)
    for trial in trials:
        say(f"\n{trial.__doc__}")
        started = time.monotonic()
        outcome = trial(site)
        say(f"  → {outcome}; {time.monotonic() - started:.0f} s")
    say(f"\n{len(trials)} passed, 0 failed in {time.monotonic() - began:.0f} s")


def show(each: Try) -> None:
    """Prints how a container ended."""
    say(f"  {each.task:<11} exit {each.exit_code:<4} {each.seconds:4.0f} s   {line_of(each)}")
    if each.exit_code:
        for line in each.said.strip().splitlines()[-2:]:
            say(f"      {line}")


def line_of(each: Try) -> str:
    """What a container said of its node, and last, where it has been said more than once."""
    lines = [line.split() for line in each.said.splitlines()]
    return next((" ".join(words[1:]) for words in reversed(lines) if words[:1] == [each.task]), "")


def expect(holds: bool, promise: str) -> None:
    """Ends the program where a promise is not kept."""
    if not holds:
        raise SystemExit(f"e2e_kubeflow: broken promise: {promise}")


def say(line: str) -> None:
    """Prints, also while kfp's output goes elsewhere."""
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
