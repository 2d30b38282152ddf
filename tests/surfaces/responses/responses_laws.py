"""What holds for every stream of typed events, whatever it tells."""

from typing import Any

from responses_samples import Frames, check_strictly, frames

PIECES = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_text": "text",
    "response.reasoning_summary_text": "text",
}


def check_order(payloads: Frames) -> None:
    """The grammar of a stream: the response begins and ends once; each item is added, opened, told and closed
    in mirror order, then done; the numbers have no gaps."""
    assert [p["sequence_number"] for p in payloads] == list(range(len(payloads)))
    assert [p["type"] for p in payloads[:2]] == ["response.created", "response.in_progress"]
    assert payloads[-1]["type"] in {"response.completed", "response.incomplete", "response.failed"}
    added: dict[int, Any] = {}
    stacks: dict[int, list[str]] = {}
    for p in payloads[2:-1]:
        kind = p["type"]
        if kind == "error":
            continue
        index = p["output_index"]
        if kind == "response.output_item.added":
            assert index == len(added), "items are numbered as they begin"
            added[index] = p["item"]
            assert p["item"]["status"] == "in_progress"
            stacks[index] = ["open"]
            continue
        stack = stacks[index]
        if kind == "response.output_item.done":
            assert stack == ["open"] or stack == ["open", "told"]
            assert p["item"]["id"] == added[index]["id"]
            stack.append("done")
            continue
        assert p["item_id"] == added[index]["id"]
        assert "done" not in stack
        if kind.endswith("_part.added"):
            assert stack == ["open"]
            stack.append("part")
        elif kind.endswith("_part.done"):
            assert stack == ["open", "part", "told"]
            del stack[1:]
        elif kind.endswith(".done"):
            assert stack in (["open", "part"], ["open"])
            stack.append("told")
        else:
            assert "told" not in stack
    assert all(stack[-1] == "done" for stack in stacks.values())
    final = payloads[-1]["response"]["output"]
    assert [item["id"] for item in final] == [item["id"] for item in added.values()]


def added_up(payloads: Frames) -> list[dict[str, Any]]:
    """The items as a client that reads only what is new in each event puts them together."""
    items: list[dict[str, Any]] = []
    for p in payloads:
        kind = p["type"]
        item = items[p["output_index"]] if "output_index" in p and "item" not in p else {}
        if kind == "response.output_item.added":
            items.append(p["item"])
        elif kind == "response.content_part.added":
            item["content"] = [*(item["content"] or []), p["part"]]
        elif kind == "response.reasoning_summary_part.added":
            item["summary"].append(p["part"])
        elif kind == "response.reasoning_summary_text.delta":
            item["summary"][p["summary_index"]]["text"] += p["delta"]
        elif kind == "response.output_text.annotation.added":
            assert len(item["content"][0]["annotations"]) == p["annotation_index"]
            item["content"][0]["annotations"].append(p["annotation"])
        elif kind == "response.function_call_arguments.delta":
            item["arguments"] += p["delta"]
        elif kind.endswith(".delta"):
            part = item["content"][p["content_index"]]
            part["refusal" if part["type"] == "refusal" else "text"] += p["delta"]
        elif kind == "response.output_item.done":
            # Its status is news, and an image, which comes whole.
            items[p["output_index"]]["status"] = p["item"]["status"]
            if p["item"]["type"] == "image_generation_call":
                items[p["output_index"]] = p["item"]
    return items


def check_whole(said: bytes) -> Frames:
    payloads = frames(said)
    check_strictly(payloads)
    check_order(payloads)
    final = payloads[-1]["response"]
    assert added_up(payloads) == final["output"]
    for p in payloads:
        if p["type"] == "response.output_item.done":
            assert p["item"] == final["output"][p["output_index"]]
        elif p["type"].endswith(".done") and p["type"].rpartition(".")[0] in PIECES:
            field = PIECES[p["type"].rpartition(".")[0]]
            item = final["output"][p["output_index"]]
            parts = item["summary"] if "summary_index" in p else item["content"]
            assert p[field] == parts[0][field]
        elif p["type"] == "response.function_call_arguments.done":
            item = final["output"][p["output_index"]]
            assert (p["name"], p["arguments"]) == (item["name"], item["arguments"])
    return payloads
