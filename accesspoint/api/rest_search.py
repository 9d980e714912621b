"""REST routes of search, verification, policy and jobs."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.routing import APIRoute

from accesspoint.api import rest_bodies as bodies
from accesspoint.api import rest_views as views
from accesspoint.api.calibration_outlook import calibration_outlook
from accesspoint.api.enrolment import Source
from accesspoint.api.jobs import Jobs
from accesspoint.api.rest_gallery import Filter, Image, Who, image_of
from accesspoint.api.search_service import TOP_MAX, SearchService
from airreid.subject_ids import ID_MAX

Top = Annotated[int, Query(ge=0, le=TOP_MAX)]
Setting = Annotated[str, Query(max_length=64, description="As the job's; empty: its default.")]
Scheme = Annotated[
    str,
    Query(
        max_length=ID_MAX,
        description="Whose embeddings are compared: a scheme, or features. Empty: the JSCC "
        "scheme of the largest bandwidth.",
    ),
]


def router(search_service: SearchService, jobs: Jobs, route: type[APIRoute]) -> APIRouter:
    """Makes the routes of search, policy and jobs."""
    routes = APIRouter(prefix="/v1", route_class=route)
    _add_search(routes, search_service)
    _add_policy(routes, search_service, jobs)
    _add_jobs(routes, jobs)
    return routes


def _add_search(routes: APIRouter, search_service: SearchService) -> None:
    @routes.post("/search", tags=["search"])
    def search(
        image: Image, top_k: Top = 0, top_entries: Top = 0, scheme: Scheme = ""
    ) -> views.SearchView:
        """Searches for a person by an image: the best subjects (0: ten of them), and entries."""
        source = Source(image=image_of(image))
        return views.SearchView.of(search_service.search(source, top_k, top_entries, scheme))

    @routes.post("/search/feature", tags=["search"])
    def search_feature(body: bodies.FeatureSearchBody, scheme: Scheme = "") -> views.SearchView:
        """Searches for a person by a feature."""
        source = body.source("the query")
        return views.SearchView.of(
            search_service.search(source, body.top_k, body.top_entries, scheme)
        )

    @routes.post("/verify", tags=["search"])
    def verify(subject: Filter, image: Image, scheme: Scheme = "") -> views.VerifyView:
        """Compares an image with a subject."""
        return views.VerifyView.of(
            search_service.verify(subject, Source(image=image_of(image)), scheme)
        )

    @routes.post("/verify/feature", tags=["search"])
    def verify_feature(
        subject: Filter, body: bodies.FeatureBody, scheme: Scheme = ""
    ) -> views.VerifyView:
        """Compares a feature with a subject."""
        return views.VerifyView.of(search_service.verify(subject, body.source("the query"), scheme))


def _add_policy(routes: APIRouter, search_service: SearchService, jobs: Jobs) -> None:
    def view() -> views.PolicyView:
        match_policy, quality_gate = search_service.policy()
        return views.PolicyView(
            match_policy=json.loads(match_policy), quality_gate=json.loads(quality_gate)
        )

    @routes.get("/policy", tags=["policy"])
    def get_policy() -> views.PolicyView:
        """Returns the match policy and the quality gate in force."""
        return view()

    @routes.put("/policy", tags=["policy"])
    def put_policy(body: bodies.PolicyBody, who: Who) -> views.PolicyView:
        """Replaces the documents that are given."""
        documents = (body.match_policy, body.quality_gate)
        search_service.set_policy(
            who, *("" if document is None else json.dumps(document) for document in documents)
        )
        if body.match_policy is not None:
            jobs.put_in_force(search_service.policy()[0])
        return view()

    @routes.get("/calibration", tags=["policy"])
    def get_calibration(
        false_match_rate: Setting = "",
        review_rate: Setting = "",
        confidence: Setting = "",
        min_subjects: Setting = "",
        max_queries: Setting = "",
        new_cameras: Setting = "",
    ) -> views.CalibrationView:
        """Says whether a job ``calibrate`` with these parameters must fail, and why."""
        parameters = {
            "false_match_rate": false_match_rate,
            "review_rate": review_rate,
            "confidence": confidence,
            "min_subjects": min_subjects,
            "max_queries": max_queries,
            "new_cameras": new_cameras,
        }
        given = {name: text for name, text in parameters.items() if text}
        outlook = calibration_outlook(search_service, jobs, given)
        return views.CalibrationView.model_validate(outlook)


def _add_jobs(routes: APIRouter, jobs: Jobs) -> None:
    @routes.post("/jobs", status_code=201, tags=["jobs"])
    def start(body: bodies.JobBody, who: Who) -> views.JobView:
        """Starts long work; 409 where a job of the kind waits or runs."""
        return views.JobView.of(jobs.start(who, body.kind, body.parameters))

    @routes.get("/jobs", tags=["jobs"])
    def list_jobs() -> views.JobsView:
        """Lists the jobs, the newest first."""
        return views.JobsView(jobs=[views.JobView.of(job) for job in jobs.list()])

    @routes.get("/jobs/{job}", tags=["jobs"])
    def get_job(job: str) -> views.JobView:
        """Returns the state of a job."""
        return views.JobView.of(jobs.get(job))

    @routes.post("/jobs/{job}/cancel", tags=["jobs"])
    def cancel(job: str, who: Who) -> views.JobView:
        """Tells a job to stop; a running one does so at its next step."""
        return views.JobView.of(jobs.cancel(who, job))
