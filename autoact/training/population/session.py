"""A session that trains many candidates at once, and one by one where a task cannot be batched."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

from autoact.activations import registry
from autoact.core.records import Candidate, TrialRecord
from autoact.tasks.task import Task
from autoact.timing.clock import fixed_threads
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population.member import Member
from autoact.training.population.population import Population
from autoact.training.population.stack import names_of
from autoact.training.population.support import seeds_can_share, why_not
from autoact.training.quiet import quiet_lightning


class PopulationSession:
    """Trains its candidates in populations; see ``autoact.training.session.Session`` for the life cycle.

    Candidates of equal parameter shapes that have trained equally far make up a population, of ``options.population``
    members at most.

    Attributes:
        reason: why candidates train one by one; empty where they do not.
    """

    def __init__(self, task: Task, options: SessionOptions | None = None) -> None:
        self.task = task
        self.options = options or SessionOptions()
        self.reason = "one member at a time was asked for" if self.options.population == 1 else ""
        if self.options.population is None:
            self.reason = why_not(task, self.options)
        self._order: list[int] = []
        self._members: dict[int, Member] = {}
        self._populations: list[Population] = []
        self._fresh: list[int] = []
        self._singles = LightningSession(task, self.options)

    def start(self, candidates: Sequence[tuple[int, Candidate]]) -> None:
        """Build a fresh module for each candidate."""
        self._order += [number for number, _ in candidates]
        if self.reason:
            self._singles.start(candidates)
            return
        with quiet_lightning():
            for number, candidate in candidates:
                self._members[number] = Member(number, candidate, self.task, self.options)
                self._fresh.append(number)

    def advance(self, to: int | None = None) -> list[TrialRecord]:
        """Train all up to epoch ``to``, or to the end; returns a record each, in the order of the start."""
        self._form()
        with quiet_lightning(), fixed_threads(self.options.threads):
            waiting = list(self._populations)
            while waiting:
                population = waiting.pop(0)
                halves = self._advance(population, to)
                if halves:
                    place = self._populations.index(population)
                    self._populations[place : place + 1] = halves
                    waiting = halves + waiting
        self._singles.advance(to)
        return self.records()

    def _advance(self, population: Population, to: int | None) -> list[Population]:
        """Advance one population; two halves of it, untrained, where memory does not hold it."""
        before = {m.number: population.checkpoint(m) for m in population.all if m.active and m.epochs}
        try:
            population.advance(to)
        except torch.OutOfMemoryError:
            active = [m for m in population.all if m.active]
            if len(active) < 2:
                active[0].fail("a single training does not fit into memory")
                return []
            again = [self._rebuilt(member, before.get(member.number)) for member in active]
            middle = len(again) // 2
            done = [m for m in population.all if not m.active]
            halves = [Population(self.task, self.options, part) for part in (again[:middle], again[middle:])]
            halves[0].all += done
            return halves
        return []

    def _rebuilt(self, member: Member, state: dict[str, Any] | None) -> Member:
        """A member as it was before."""
        fresh = Member(member.number, member.candidate, self.task, self.options)
        if state is not None:
            fresh.go_on(state)
        self._members[member.number] = fresh
        return fresh

    def _form(self) -> None:
        """Make populations of those that are in none yet."""
        groups: dict[Any, list[Member]] = {}
        for number in self._fresh:
            member = self._members[number]
            groups.setdefault((shapes(member), member.epochs, member.steps), []).append(member)
        most = self.options.population or max((len(group) for group in groups.values()), default=1)
        for group in groups.values():
            for begin in range(0, len(group), most):
                self._populations += formed(self.task, self.options, group[begin : begin + most])
        self._fresh = []

    def keep(self, numbers: Collection[int]) -> None:
        """Drop the others."""
        self._order = [number for number in self._order if number in numbers]
        self._fresh = [number for number in self._fresh if number in numbers]
        self._members = {number: member for number, member in self._members.items() if number in numbers}
        for population in self._populations:
            population.all = [member for member in population.all if member.number in numbers]
        self._populations = [population for population in self._populations if population.all]
        self._singles.keep(numbers)

    def score(self, test: Any) -> dict[int, float]:
        """The monitored metric on the opened test rows, by each module's own ``validation_step``."""
        found = self._singles.score(test)
        with quiet_lightning(), fixed_threads(self.options.threads):
            for population in self._populations:
                found |= population.score(test)
        return {number: found[number] for number in self._order if number in found}

    def records(self) -> list[TrialRecord]:
        """What is known of each candidate now."""
        found = {record.number: record for record in self._singles.records()}
        found |= {number: member.record() for number, member in self._members.items()}
        return [found[number] for number in self._order]

    def modules(self) -> dict[int, Any]:
        """The modules, by number, with the weights of the best epoch where complete."""
        found = {**self._singles.modules(), **{number: m.module for number, m in self._members.items()}}
        return {number: found[number] for number in self._order}

    def checkpoint(self) -> dict[str, Any]:
        """The state of every candidate that is paused or untouched."""
        states = dict(self._singles.checkpoint())
        for population in self._populations:
            for member in [m for m in population.all if m.active]:
                paused = population.checkpoint(member) if member.epochs else None
                states[str(member.number)] = {"candidate": member.candidate.to_dict(), "member": paused}
        for number in self._fresh:
            member = self._members[number]
            states[str(number)] = {"candidate": member.candidate.to_dict(), "member": member.paused}
        return states

    def resume(self, checkpoint: Mapping[str, Any]) -> None:
        """Go on with the candidates of one or several checkpoints."""
        for number, state in checkpoint.items():
            if "saved" in state:
                self._order.append(int(number))
                self._singles.resume({number: state})
                continue
            with quiet_lightning():
                member = Member(int(number), Candidate.from_dict(state["candidate"]), self.task, self.options)
                if state["member"] is not None:
                    member.go_on(state["member"])
            self._order.append(member.number)
            self._members[member.number] = member
            self._fresh.append(member.number)


def shapes(member: Member) -> tuple[Any, ...]:
    """Equal for members that can be stacked.

    They hold tensors of equal names, shapes and kinds outside the sites, and draw as many random numbers in a step.
    """
    inside = tuple(f"{site}." for site in member.candidate.assignment)
    held = dict([*member.module.named_parameters(), *member.module.named_buffers()])
    names = [name for name in names_of(member.module) if not name.startswith(inside)]
    drawn = tuple((site, str(c)) for site, c in member.candidate.assignment.items() if registry.get(c.name).stochastic)
    return drawn, *((n, tuple(held[n].shape), str(held[n].dtype), held[n].requires_grad) for n in names)


def formed(task: Task, options: SessionOptions, members: Sequence[Member]) -> list[Population]:
    """One population; one per seed where seeds cannot share a population."""
    population = Population(task, options, members)
    if len(population.streams) == 1 or seeds_can_share(task, options, population.streams):
        return [population]
    seeds = dict.fromkeys(member.candidate.seed for member in members)
    return [Population(task, options, [m for m in members if m.candidate.seed == seed]) for seed in seeds]
