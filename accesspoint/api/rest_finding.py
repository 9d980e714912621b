"""REST: search, verification, policy and jobs."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Query

from accesspoint.api import rest_models as m
from accesspoint.api.enrolment import Source
from accesspoint.api.finding import TOP_MAX, Finder
from accesspoint.api.jobs import Jobs
from accesspoint.api.rest_gallery import Filter, Image, Who, image_of

Top = Annotated[int, Query(ge=0, le=TOP_MAX)]


def router(finder: Finder, jobs: Jobs) -> APIRouter:
    routes = APIRouter(prefix="/v1")
    _add_search(routes, finder)
    _add_policy(routes, finder)
    _add_jobs(routes, jobs)
    return routes


def _add_search(routes: APIRouter, finder: Finder) -> None:
    @routes.post("/search", tags=["search"])
    def search(image: Image, top_k: Top = 0, top_entries: Top = 0) -> m.SearchView:
        """Who is this? The best subjects (0: ten of them) and, if asked for, entries."""
        source = Source(image=image_of(image))
        return m.SearchView.of(finder.search(source, top_k, top_entries))

    @routes.post("/search/feature", tags=["search"])
    def search_feature(body: m.FeatureSearchBody) -> m.SearchView:
        """Who is this, by a feature?"""
        source = body.source("the query")
        return m.SearchView.of(finder.search(source, body.top_k, body.top_entries))

    @routes.post("/verify", tags=["search"])
    def verify(subject: Filter, image: Image) -> m.VerifyView:
        """Is this the subject?"""
        return m.VerifyView.of(finder.verify(subject, Source(image=image_of(image))))

    @routes.post("/verify/feature", tags=["search"])
    def verify_feature(subject: Filter, body: m.FeatureBody) -> m.VerifyView:
        """Is this the subject, by a feature?"""
        return m.VerifyView.of(finder.verify(subject, body.source("the query")))


def _add_policy(routes: APIRouter, finder: Finder) -> None:
    def view() -> m.PolicyView:
        match_policy, quality_gate = finder.policy()
        return m.PolicyView(
            match_policy=json.loads(match_policy), quality_gate=json.loads(quality_gate)
        )

    @routes.get("/policy", tags=["policy"])
    def get_policy() -> m.PolicyView:
        """When a match is a match, and which images are good enough."""
        return view()

    @routes.put("/policy", tags=["policy"])
    def put_policy(body: m.PolicyBody, who: Who) -> m.PolicyView:
        """Replaces the documents that are given."""
        documents = (body.match_policy, body.quality_gate)
        finder.set_policy(who, *("" if one is None else json.dumps(one) for one in documents))
        return view()


def _add_jobs(routes: APIRouter, jobs: Jobs) -> None:
    @routes.post("/jobs", status_code=201, tags=["jobs"])
    def start(body: m.JobBody, who: Who) -> m.JobView:
        """Starts long work; 409 where a job of the kind waits or runs."""
        return m.JobView.of(jobs.start(who, body.kind, body.parameters))

    @routes.get("/jobs", tags=["jobs"])
    def list_jobs() -> m.JobsView:
        return m.JobsView(jobs=[m.JobView.of(job) for job in jobs.list()])

    @routes.get("/jobs/{job}", tags=["jobs"])
    def get_job(job: str) -> m.JobView:
        return m.JobView.of(jobs.get(job))

    @routes.post("/jobs/{job}/cancel", tags=["jobs"])
    def cancel(job: str, who: Who) -> m.JobView:
        """Tells a job to stop; a running one does so at its next step."""
        return m.JobView.of(jobs.cancel(who, job))
