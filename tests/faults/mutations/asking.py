"""The safeguards of the API: who asks, and what an answer stands on."""

from __future__ import annotations

from tests.faults.mutations.safeguard import Safeguard, unit

AUTH, DECIDE = "api/auth.py", "api/decide.py"

SAFEGUARDS = (
    Safeguard(
        "an unknown token is nobody",
        AUTH,
        "    subject = gate.subject(token) if token else None\n    if subject is None:\n",
        '    subject = (gate.subject(token) if token else None) or "somebody"\n    if subject is None:\n',
        unit("api_access", "without_a_valid_token_nothing_is_shown"),
    ),
    Safeguard(
        "a form belongs to its session",
        AUTH,
        "        if site not in FETCH_SITES or not hmac.compare_digest(self.csrf(session).encode(), token.encode()):\n",
        "        if False:\n",
        unit("api_pages", "a_form_without_its_csrf_token_decides_nothing"),
    ),
    Safeguard(
        "a forged session is none",
        AUTH,
        'if not claim or not hmac.compare_digest(self._sign("session", claim).encode(), signature.encode()):',
        "if not claim:",
        unit("api_pages", "a_session_ends_and_cannot_be_forged"),
    ),
    Safeguard(
        "a name in a body is the token's",
        AUTH,
        "    if named is not None and not hmac",
        "    if False and not hmac",
        unit("api_decide", "a_name_that_is_not_the_tokens_is_refused"),
    ),
    Safeguard(
        "the API answers behind its own read barrier",
        DECIDE,
        "        await view.wait_for(where.partition, where.offset, deps.wait_s)\n",
        "        pass\n",
        unit("api_decide", "an_approval_binds_the_digest_of_the_mode_it_names"),
    ),
    Safeguard(
        "a digest that is not the proposal's is 409",
        DECIDE,
        "    if command.verb is CommandVerb.APPROVE and command.digest != digest_of(proposal, command.mode):\n",
        "    if False:\n",
        unit("api_decide", "a_digest_of_something_else_is_refused_as_changed"),
    ),
    Safeguard(
        "what was decided is 409, with who and when",
        DECIDE,
        "    if decision := deps.model.decisions.get(proposal.id):\n        raise already_decided(decision, _newer(deps, proposal))\n",
        "",
        unit("api_decide", "the_second_is_told_who_decided_what_and_when"),
    ),
    Safeguard(
        "the loser of two words hears who won",
        DECIDE,
        "        case CommandFate.LOST | CommandFate.EXPIRED",
        "        case CommandFate.EXPIRED",
        unit("api_decide", "two_approvers_at_once_make_one_decision_a_hundred_times"),
    ),
)
