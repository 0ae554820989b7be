"""Whether a trace of the guest host holds what a guest did, and a file that is none is refused."""

import guest_payloads
import guest_trace


def wrong(folder):
    """What is wrong with the trace of the guest that measures, or an empty text."""
    kernel = guest_payloads.build(folder, "measure")
    status, console = guest_payloads.run("cores=1 trace", kernel, folder=folder)
    if status != 0 or "trace written to vireo-trace.bin" not in console:
        return f"exit status {status}:\n{console}"
    data = (folder / "vireo-trace.bin").read_bytes()
    events = [event for event in guest_trace.convert(data)["traceEvents"] if event["ph"] != "M"]
    names = [event["name"] for event in events]
    # The guest's first access and its last; one request between two calls, as a driver makes it.
    if names[:2] != ["enter", "read disk InterruptStatus"] or names[-1] != "leave":
        return f"it begins with {names[:2]} and ends with {names[-1]}"
    start, end = (names.index(f"call {0x84005000 + number:#x}") for number in (1, 2))
    request = [name for name in names[start + 1:end] if "host" not in name]
    expected = ["disk interrupt", "notify disk", "read disk InterruptStatus", "write disk InterruptACK"]
    if request != expected:
        return f"a request is {request}, not {expected}"
    if any(event.get("dur", 0) < 0 or event["ts"] <= 0 for event in events):
        return "a time is not one"
    for name, broken in (("cut", data[:-1]), ("empty", b""), ("other", b"x" * 4096)):
        try:
            guest_trace.convert(broken)
            return f"a file that is {name} was taken for a trace"
        except guest_trace.TraceError:
            pass
    return ""


def checks(folder):
    text = wrong(folder)
    print(f"{'FAILED' if text else 'passed'}  a trace" + (f"\n        {text}" if text else ""), flush=True)
    return [not text]
