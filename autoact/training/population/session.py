"""A session that trains many candidates at once, and one by one where a task cannot be batched."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
from lightning import LightningDataModule, LightningModule

from autoact.activations import registry
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate, TrialRecord
from autoact.latency.timer import fixed_threads
from autoact.tasks.task import Task
from autoact.training.lightning_session import LightningSession, SessionOptions
from autoact.training.population.eligibility import seeds_can_share, why_not
from autoact.training.population.member import Member
from autoact.training.population.population import Population
from autoact.training.population.vmap.errors import CannotBatchError, SeedsApartError
from autoact.training.population.vmap.stacked_parameters import names_of
from autoact.training.quiet_lightning import quiet_lightning
from autoact.training.state.best_epoch import State
from autoact.training.user_errors import said


class PopulationSession:
    """Trains its candidates in populations; see ``autoact.training.session.Session`` for the life cycle.

    Candidates of equal parameter shapes that have trained equally far make up a population, of ``options.population``
    members at most; ``reason`` says why they train one by one, if they do.
    """

    def __init__(self, task: Task, options: SessionOptions | None = None) -> None:
        self.task = task
        self.options = options or SessionOptions()
        self.reason = self._reason()
        self._order: list[int] = []
        self._members: dict[int, Member] = {}
        self._populations: list[Population] = []
        self._fresh: list[int] = []
        self._singles = LightningSession(task, self.options)

    def _reason(self) -> str:
        """Why candidates train one by one: the code decides it, whatever size was asked for."""
        if not self.options.alone and self.options.population == 1:
            return "one member at a time was asked for"
        if self.options.alone is None:
            self.options.alone = why_not(self.task, self.options)
        return self.options.alone

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
        self._restart(to)
        self._form()
        with quiet_lightning(), fixed_threads(self.options.threads):
            waiting = list(self._populations)
            while waiting:
                population = waiting.pop(0)
                instead = self._advance(population, to)
                if instead is not None:
                    place = self._populations.index(population)
                    self._populations[place : place + 1] = instead
                    waiting = instead + waiting
        self._singles.advance(to)
        return self.records()

    def _restart(self, to: int | None) -> None:
        """Members that a pause would have changed train from their start, in populations of their own."""
        restarting = [m for m in self._members.values() if m.active and m.restarts and (to is None or m.epochs < to)]
        with quiet_lightning():
            for member in restarting:
                self._rebuilt(member, None).seconds = member.seconds
                for population in self._populations:
                    population.all = [m for m in population.all if m is not member]
                if member.number not in self._fresh:
                    self._fresh.append(member.number)
        self._populations = [population for population in self._populations if population.all]

    def _advance(self, population: Population, to: int | None) -> list[Population] | None:
        """Advance one population; others, untrained, that take its place where it cannot go on as it is."""
        if self.options.alone and any(member.active for member in population.all):  # found out by another one
            return self._one_by_one(population, CannotBatchError(self.options.alone))
        before = {m.number: population.checkpoint(m) for m in population.all if m.active and m.epochs}
        try:
            population.advance(to)
        except torch.OutOfMemoryError:
            return self._halves(population, before)
        except SeedsApartError:
            rebuilt = [self._rebuilt(m, before.get(m.number)) for m in population.all if m.active]
            return self._with_done(population, by_seed(self.task, self.options, rebuilt))
        except AutoactError:
            raise
        except CannotBatchError as error:
            return self._one_by_one(population, error)
        except Exception as error:
            if sum(member.active for member in population.all) > 1:  # which of them is it?
                return self._halves(population, before)
            return self._by_itself(population, to, error)
        return None

    def _by_itself(self, population: Population, to: int | None, error: Exception) -> list[Population]:
        """The only member of a population that raised, trained without one, from the start.

        Where it trains then, the population was to blame, and all go on one by one; else its activations are, which
        concerns no other member.
        """
        (member,) = [member for member in population.all if member.active]
        del self._members[member.number]
        population.all.remove(member)
        self._singles.start([(member.number, member.candidate)])
        self._singles.runs[member.number].advance(to)
        if self._singles.runs[member.number].failure is None:
            name = type(self._singles.runs[member.number].module).__name__
            self._go_alone(f"{name} cannot be batched: {said(error)}")
        return [population] if population.all else []

    def _halves(self, population: Population, before: Mapping[int, State]) -> list[Population]:
        active = [m for m in population.all if m.active]
        if len(active) < 2:
            active[0].fail("a single training does not fit into memory")
            return [population]
        rebuilt = [self._rebuilt(member, before.get(member.number)) for member in active]
        middle = len(rebuilt) // 2
        halves = [Population(self.task, self.options, part) for part in (rebuilt[:middle], rebuilt[middle:])]
        return self._with_done(population, halves)

    def _with_done(self, population: Population, others: list[Population]) -> list[Population]:
        """The others, the first of which takes over those whose training is over."""
        others[0].all += [m for m in population.all if not m.active]
        return others

    def _one_by_one(self, population: Population, error: Exception) -> list[Population]:
        """Train these one by one, from the start, and all that come later; says so, with the reason.

        A bug in the user's code comes up there again, with its own traceback.
        """
        self._go_alone(said(error))
        alone = [member for member in population.all if member.active]
        for member in alone:
            del self._members[member.number]
        self._singles.start([(member.number, member.candidate) for member in alone])
        population.all = [member for member in population.all if not member.active]
        return [population] if population.all else []

    def _go_alone(self, reason: str) -> None:
        """From here on nothing trains as a population."""
        if not self.options.alone:
            self.reason = self.options.alone = reason
            warnings.warn(f"candidates train one by one, not together: {self.reason}", stacklevel=5)

    def _rebuilt(self, member: Member, state: State | None) -> Member:
        fresh = Member(member.number, member.candidate, self.task, self.options)
        if state is not None:
            fresh.go_on(state)
        self._members[member.number] = fresh
        return fresh

    def _form(self) -> None:
        """Make populations of those that are in none yet."""
        groups: dict[tuple[object, ...], list[Member]] = {}
        for number in self._fresh:
            member = self._members[number]
            groups.setdefault((shapes(member), member.epochs, member.steps), []).append(member)
        most = self.options.population or max((len(group) for group in groups.values()), default=1)
        for group in groups.values():
            for begin in range(0, len(group), most):
                self._populations += formed(self.task, self.options, group[begin : begin + most])
        self._fresh = []

    def score(self, test: LightningDataModule) -> dict[int, float]:
        """The monitored metric on the opened test rows, by each module's own ``validation_step``."""
        scores = self._singles.score(test)
        with quiet_lightning(), fixed_threads(self.options.threads):
            for population in self._populations:
                scores |= population.score(test)
        return {number: scores[number] for number in self._order if number in scores}

    def records(self) -> list[TrialRecord]:
        """What is known of each candidate now."""
        records = {record.number: record for record in self._singles.records()}
        records |= {number: member.record() for number, member in self._members.items()}
        return [records[number] for number in self._order]

    def modules(self) -> dict[int, LightningModule]:
        """The modules, by number, with the weights of the best epoch where complete."""
        modules = {**self._singles.modules(), **{number: m.module for number, m in self._members.items()}}
        return {number: modules[number] for number in self._order}

    def checkpoint(self) -> dict[str, State]:
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

    def resume(self, checkpoint: Mapping[str, State]) -> None:
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


def shapes(member: Member) -> tuple[object, ...]:
    """Equal for members that can be stacked.

    They hold tensors of equal names, shapes and kinds outside the sites, and have activations assigned at the same
    sites. How many random numbers a stochastic activation draws depends on its inputs: its member trains alone.
    """
    inside = tuple(f"{site}." for site in member.candidate.assignment)
    tensors = dict([*member.module.named_parameters(), *member.module.named_buffers()])
    names = [name for name in names_of(member.module) if not name.startswith(inside)]
    assignment = member.candidate.assignment
    alone = any(registry.get(choice.name).stochastic for choice in assignment.values())
    return (
        tuple(sorted(assignment)),
        member.number if alone else None,
        *((n, tuple(tensors[n].shape), str(tensors[n].dtype), tensors[n].requires_grad) for n in names),
    )


def formed(task: Task, options: SessionOptions, members: Sequence[Member]) -> list[Population]:
    """One population; one per seed where seeds cannot share a population."""
    population = Population(task, options, members)
    if len(population.streams) == 1 or seeds_can_share(task, options, population.streams):
        return [population]
    return by_seed(task, options, members)


def by_seed(task: Task, options: SessionOptions, members: Sequence[Member]) -> list[Population]:
    """A population for every seed, and for every fold of it."""
    keys = dict.fromkeys(member.key for member in members)
    return [Population(task, options, [m for m in members if m.key == key]) for key in keys]
