"""People and their scripts' tokens, for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from sqlalchemy import select

from hilum.apps.store.people import (
    LOCAL,
    Role,
    add_person,
    add_token,
    choose_blind,
    end_visits,
    hash_password,
)
from hilum.apps.store.tables import Person, Token, iso
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.account import (
    NewTokenAnswer,
    PeopleAnswer,
    PersonAnswer,
    TokenAnswer,
    TokensAnswer,
)
from hilum.apps.web.problems import Problem, not_found
from hilum.apps.web.schemas import API, AnyId, ChangedPerson, NewPerson, NewToken
from hilum.apps.web.service import Served

router = APIRouter(prefix=API, tags=["people"])
_Administrator = Annotated[Visitor, needs(Role.ADMINISTRATOR)]


@router.get("/users", summary="All people")
def users(_: _Administrator, service: Served) -> PeopleAnswer:
    """List who may sign in."""
    with service.store.read() as session:
        people = session.scalars(select(Person).order_by(Person.name))
        return PeopleAnswer(items=[_show(person) for person in people])


@router.post("/users", status_code=201, summary="Add a person")
def add_user(body: NewPerson, visitor: _Administrator, service: Served) -> PersonAnswer:
    """Add a person with a role."""
    with service.store.write() as session:
        person = add_person(session, body.name, body.role, body.password)
        if body.blind is not None:
            choose_blind(person, on=body.blind)
        service.log.add(session, visitor.name, "user-added", user=person.id, role=person.role)
        return _show(person)


@router.patch("/users/{user_id}", summary="Change a person")
def change_user(
    user_id: AnyId, body: ChangedPerson, visitor: _Administrator, service: Served
) -> PersonAnswer:
    """Change role or password, or shut a person out; open sessions of that person end."""
    with service.store.write() as session:
        person = session.get(Person, user_id)
        if person is None:
            raise not_found("person")
        if person.name == LOCAL or person.id == visitor.person_id:
            raise Problem(
                409, "conflict", "this would change who is asking", hint="ask another administrator"
            )
        if body.role is not None:
            person.role = body.role
        if body.disabled is not None:
            person.disabled = body.disabled
        if body.blind is not None:
            choose_blind(person, on=body.blind)
        if body.password is not None:
            person.password = hash_password(body.password)
        end_visits(session, person_id=person.id)
        changed = sorted(body.model_fields_set)
        service.log.add(session, visitor.name, "user-changed", user=person.id, changed=changed)
        return _show(person)


@router.get("/tokens", summary="All tokens")
def tokens(_: _Administrator, service: Served) -> TokensAnswer:
    """List tokens; what they are cannot be shown again."""
    with service.store.read() as session:
        query = select(Token, Person.name).join(Person, Person.id == Token.person_id)
        rows = session.execute(query.order_by(Token.created_ms))
        return TokensAnswer(items=[_show_token(row[0], row[1]) for row in rows])


@router.post("/tokens", status_code=201, summary="Make a token")
def make_token(body: NewToken, visitor: _Administrator, service: Served) -> NewTokenAnswer:
    """Make a token for a person's scripts; it is in this answer and nowhere else."""
    with service.store.write() as session:
        person = session.get(Person, body.person_id)
        if person is None:
            raise not_found("person")
        token, secret = add_token(session, person, body.name)
        service.log.add(session, visitor.name, "token-added", user=person.id, token=token.id)
        return NewTokenAnswer(token=secret, **dict(_show_token(token, person.name)))


@router.delete("/tokens/{token_id}", status_code=204, summary="Take a token back")
def drop_token(token_id: AnyId, visitor: _Administrator, service: Served) -> None:
    """Make a token worthless."""
    with service.store.write() as session:
        token = session.get(Token, token_id)
        if token is None:
            raise not_found("token")
        session.delete(token)
        service.log.add(session, visitor.name, "token-removed", token=token_id)


def _show(person: Person) -> PersonAnswer:
    return PersonAnswer(
        user_id=person.id,
        name=person.name,
        role=person.role,
        password=person.password is not None,
        openid=person.subject is not None,
        disabled=person.disabled,
        blind=person.blind if person.blind_chosen else None,
        created_at=iso(person.created_ms),
    )


def _show_token(token: Token, owner: str) -> TokenAnswer:
    created_at = iso(token.created_ms)
    return TokenAnswer(token_id=token.id, name=token.name, user=owner, created_at=created_at)
