"""Two people who judge the same finding at the same moment, and one who sends a decision twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from mdm import vee, worklist
from mdm.intake_layout import Weeks
from mdm.worklist_days import WorklistError
from schemas import database
from tests.mdm import record
from tests.mdm.test_editing import CURVE, DAY, LATER, NOW


def test_one_decision_stands_and_the_other_person_is_told(database_url: str) -> None:
    with database.connect(database_url) as connection:
        point = record.usage_point(connection)
        record.installation(connection, point, "M-1")
        record.land(connection, "M-1", DAY - timedelta(days=1), CURVE)
        record.land(connection, "M-1", DAY, [*CURVE[:10], 90_000, *CURVE[11:]])
        vee.run(connection, now=NOW, weeks=Weeks(), rule_sets=record.RULES)
        (spike,) = worklist.findings(connection, rule="spike")
    together = threading.Barrier(2, timeout=30)

    def decide(person: str) -> str:
        try:
            with database.connect(database_url) as mine:
                together.wait()
                worklist.accept(mine, [spike.id], person=person, reason="seen", now=LATER)
        except WorklistError as problem:
            return str(problem)
        return "accepted"

    with ThreadPoolExecutor(2) as people:
        said = sorted(people.map(decide, ("Mona", "Salem")))
    told = f"finding {spike.id} at {spike.usage_point} is accepted, not open; "
    assert said == ["accepted", told + "list the worklist again"]
    with database.connect(database_url) as connection:
        (after,) = worklist.findings(connection, state=None, number=spike.id)
    assert (after.state, after.reason) == ("accepted", "seen")
    assert after.decided_by in {"Mona", "Salem"}
