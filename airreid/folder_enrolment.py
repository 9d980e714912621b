"""Enrolment of a folder of crops: nothing twice, nobody lost, every file answered for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from airreid.client import GalleryClient, ok
from airreid.crop_folder import Crop
from airreid.errors import InputError
from airreid.images import decode, read
from airreid.subject_ids import ids_of, shown_name
from airreid.v1 import gallery_pb2

_NAMED = 20
"""Most files that one error names."""


@dataclass
class Outcome:
    """Result of an enrolment."""

    added: int = 0
    """Images that are new in the gallery."""
    before: int = 0
    """Images that were enrolled before, of the same subject and camera."""
    doubtful: list[str] = field(default_factory=list)
    """Images that were enrolled with a warning: path and warnings of each."""
    new_subjects: list[str] = field(default_factory=list)
    """Subjects that were not in the gallery before."""
    refused: int = 0
    taken_back: int = 0
    """Images that were enrolled and removed again, because others were refused."""
    deleted: int = 0
    """Earlier entries that were replaced."""


@dataclass
class _Person:
    """Progress of one subject; entries by their numbers."""

    earlier: set[int]
    """Entries that are to be replaced."""
    is_new: bool
    created: bool = False
    """Made with one of these images."""
    added: list[int] = field(default_factory=list)
    stays: set[int] = field(default_factory=set)
    """Entries of images that were enrolled before."""
    refused: int = 0


class FolderEnrolment:
    """Enrols crops, one subject after the other.

    With ``replace`` a subject's earlier entries are deleted once all its images are enrolled: it
    is found at every moment, by its earlier entries or by the new ones. Where one of its images
    is refused it stays as it was. Begun again after a break, it goes on where it was.
    """

    def __init__(
        self,
        client: GalleryClient,
        replace: bool,
        all_or_nothing: bool,
        report: Callable[[str], object],
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        """``report`` is given a line for each image that is refused; ``tick`` is called for each
        image that is sent."""
        self._client = client
        self._replace = replace
        self._all_or_nothing = all_or_nothing
        self._report = report
        self._tick = tick
        self.outcome = Outcome()
        self._people: dict[str, _Person] = {}

    def enrol(self, crops: list[Crop]) -> Outcome:
        """Enrols crops that are sorted by subject.

        Raises :class:`InputError` before anything is enrolled for names that give no id, and,
        where it is all or nothing, for an image that cannot be read.
        """
        folders = dict.fromkeys(name for crop in crops for name in (crop.identity, crop.camera))
        names = ids_of(folders)
        if self._all_or_nothing:
            _check_readable(crops)
        known = {subject.id: subject for subject in self._client.subjects()}
        try:
            self._send(crops, names, known.keys())
        except BaseException:
            if self._all_or_nothing:  # an interrupt too
                self._take_all_back()
            raise
        self._keep_names(names, known)
        self.outcome.new_subjects = [
            subject for subject, person in self._people.items() if person.created and person.added
        ]
        return self.outcome

    def _send(self, crops: list[Crop], names: Mapping[str, str], known: Collection[str]) -> None:
        sent: list[Crop] = []
        current = ""
        results = self._client.enrol(self._items(crops, names, known, sent))
        for position, (item, result) in enumerate(results):
            if item.subject != current and not self._all_or_nothing:
                self._finish(current)
            current = item.subject
            self._note(sent[position], current, result)
        if not self._all_or_nothing:
            self._finish(current)
        elif self.outcome.refused:
            self._take_all_back()
        else:
            for person in self._people.values():
                self._delete_earlier(person)

    def _items(
        self, crops: list[Crop], names: Mapping[str, str], known: Collection[str], sent: list[Crop]
    ) -> Iterator[gallery_pb2.EnrollItem]:
        for crop in crops:
            subject = names[crop.identity]
            if subject not in self._people:
                replaces = self._replace and subject in known
                listed = self._client.entries(subject) if replaces else ()
                self._people[subject] = _Person(
                    {entry.id for entry in listed}, subject not in known
                )
            self._tick()
            try:
                image = read(crop.path)
            except InputError as error:
                self._refuse(subject, str(error))
                continue
            sent.append(crop)
            yield gallery_pb2.EnrollItem(subject=subject, camera=names[crop.camera], image=image)

    def _note(self, crop: Crop, subject: str, result: gallery_pb2.EnrollResult) -> None:
        person = self._people[subject]
        if not ok(result.status):
            self._refuse(subject, f"{crop.path}: {result.status.message}")
        elif result.already_enrolled:
            self.outcome.before += 1
            person.stays.add(result.entry_id)
        else:
            self.outcome.added += 1
            person.created |= result.subject_created
            person.added.append(result.entry_id)
            if result.warnings:
                self.outcome.doubtful.append(f"{crop.path}: {'; '.join(result.warnings)}")

    def _refuse(self, subject: str, reason: str) -> None:
        self.outcome.refused += 1
        self._people[subject].refused += 1
        self._report(f"error: {reason}")

    def _finish(self, subject: str) -> None:
        """Replaces a subject's earlier entries, or takes the new ones back."""
        person = self._people.get(subject)
        if person is None or not person.earlier:
            return
        if person.refused:
            self._take_back(subject)
            self._report(f"{subject}: {person.refused} images refused, left as it was")
        else:
            self._delete_earlier(person)

    def _delete_earlier(self, person: _Person) -> None:
        earlier = sorted(person.earlier - set(person.added) - person.stays)
        deleted = self._client.delete_entries(earlier)
        self.outcome.deleted += sum(ok(status) for _, status in deleted)

    def _take_all_back(self) -> None:
        for subject in self._people:
            self._take_back(subject)

    def _take_back(self, subject: str) -> None:
        person = self._people[subject]
        for _ in self._client.delete_entries(person.added):
            pass
        if person.added and person.is_new and not any(self._client.entries(subject)):
            self._client.delete_subject(subject)
        self.outcome.added -= len(person.added)
        self.outcome.taken_back += len(person.added)
        person.added.clear()

    def _keep_names(
        self, names: Mapping[str, str], known: Mapping[str, gallery_pb2.Subject]
    ) -> None:
        """Makes display names of folders' names that are not ids, where there are none."""
        for name, subject in names.items():
            person = self._people.get(subject)
            has_name = subject in known and known[subject].display_name
            if name == subject or has_name or person is None:
                continue
            if person.added or person.stays:
                request = gallery_pb2.PutSubjectRequest(id=subject, display_name=shown_name(name))
                self._client.put_subject(request)


def _check_readable(crops: list[Crop]) -> None:
    """Decodes every image. Raises :class:`InputError` naming those that cannot be."""
    wrong = []
    for crop in crops:
        try:
            decode(read(crop.path), str(crop.path))
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        others = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise InputError(
            f"nobody enrolled, {len(wrong)} images cannot be used: "
            f"{'; '.join(wrong[:_NAMED])}{others}"
        )
