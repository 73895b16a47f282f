import pytest
from tests.faults import test_transaction_model as m
from tests.faults.score import Score
from databases.backends.common import lease
from databases import connection as c, transactions as t
from tests.faults.conftest import *
MUTS = ["abandon", "lost", "note", "order", "siblings", "pop", "owe_begin", "forget"]
@pytest.mark.parametrize("k", MUTS)
def test_mut(k, monkeypatch):
    if k=="abandon":
        def ab(self, sp): self._depth -= 1
        monkeypatch.setattr(lease.Lease, "abandon", ab)
    elif k=="lost":
        orig=lease.Lease._lose
        def lose(self, reason):
            orig(self, reason); self._lost=None
        monkeypatch.setattr(lease.Lease, "_lose", lose)
    elif k=="note":
        monkeypatch.setattr(lease.Lease, "_note", lambda self, e: None)
    elif k=="order":
        monkeypatch.setattr(c.Connection, "_inner_runs", lambda self, run, verb: [])
    elif k=="siblings":
        monkeypatch.setattr(c.Connection, "_may_begin", lambda self, run, inh: True)
    elif k=="pop":
        def pop(self, run):
            if run in self._runs: self._runs.remove(run)
            run.state=t.RunState.ENDED
        monkeypatch.setattr(c.Connection, "_pop", pop)
    elif k=="owe_begin":
        orig2=lease.Lease.begin
        async def begin(self, *, is_root, options):
            try: return await orig2(self, is_root=is_root, options=options)
            except BaseException:
                self._owed.clear(); raise
        monkeypatch.setattr(lease.Lease, "begin", begin)
    elif k=="forget":
        monkeypatch.setattr(lease.Lease, "_owe", lambda self, sql, only=True: None)
    raised=[]
    for shared in (False, True):
        for rec in (True, False):
            try: m.test_the_stack_does_as_its_model(shared, rec, Score())
            except BaseException as e: raised.append((shared, rec, repr(e)[:80]))
    print("MUT", k, len(raised))
