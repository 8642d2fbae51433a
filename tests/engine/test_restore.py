"""What somebody deleted of an ended task is written again; what was cleaned on purpose is not."""

from tests.rig import Open

from orchestrator.core.events import Event, EventKind


async def test_results_and_summaries_that_are_gone_are_written_again_but_for_cleaned_ones(open_engine: Open) -> None:
    async with open_engine() as engine:
        for name in ("result", "summary", "cleaned", "whole"):
            await engine.add(name)
        names = ("result", "summary", "cleaned", "whole")
        await engine.run_until(lambda: all(engine.archived(name) for name in names), "all four")
        (cleaned,) = await engine.store.find("cleaned")
        await engine.store.commit([Event(EventKind.ARTIFACTS_CLEANED, engine.clock.now(), cleaned.uid)])
        before = {path: path.read_bytes() for path in engine.root.glob("[rs]*s/*") if "cleaned" not in path.name}
        for path in ("results/result_result", "summaries/summary_summary", "results/cleaned_result"):
            next(engine.root.glob(f"{path}.*")).unlink()
        assert await engine.projector.restore() == 2
        assert {path: path.read_bytes() for path in before} == before
        assert not (engine.root / "results" / "cleaned_result.json").exists()
        assert await engine.projector.restore() == 0
