/* names.c - what numbers in shared memory are called on screens and in JSON.
 *
 * Not here: the names of counters, which stand in counters.def. A number that is none of ours (it
 * may come from a program of another version, or from a damaged segment) is "?". */
#include "stats/slab.h"

#define NAME(names, index) \
	((index) < crew__lengthof(names) && (names)[index] ? (names)[index] : "?")

const char *crew_reason_name(crew_reason reason)
{
	static const char *const names[] = {
		[CREW_LOST_CLOSED] = "closed",
		[CREW_LOST_RESET] = "reset",
		[CREW_LOST_ABORTED] = "aborted",
		[CREW_LOST_FULL] = "full",
		[CREW_LOST_HANDSHAKE] = "handshake",
		[CREW_LOST_EXPIRED] = "expired",
		[CREW_LOST_EVICTED] = "evicted",
		[CREW_LOST_DEADLINE] = "deadline",
		[CREW_LOST_MEMORY] = "memory",
		[CREW_LOST_CRASH] = "crash",
	};
	_Static_assert(crew__lengthof(names) == CREW_LOST_REASONS, "a name for each reason");
	return NAME(names, (unsigned)reason);
}

const char *crew_end_name(crew_end_reason reason)
{
	static const char *const names[] = {
		[CREW_END_PEER] = "peer",
		[CREW_END_RESET] = "reset",
		[CREW_END_APP] = "app",
		[CREW_END_IDLE] = "idle",
		[CREW_END_HANDSHAKE] = "handshake",
		[CREW_END_HEARTBEAT] = "heartbeat",
		[CREW_END_PROTOCOL] = "protocol",
		[CREW_END_DEADLINE] = "deadline",
		[CREW_END_FULL] = "full",
		[CREW_END_MEMORY] = "memory",
		[CREW_END_KICKED] = "kicked",
		[CREW_END_DRAIN] = "drain",
		[CREW_END_CRASH] = "crash",
	};
	_Static_assert(crew__lengthof(names) == CREW_END_REASONS, "a name for each reason");
	if (reason == CREW_END_HANDED_OVER)
		return "handed-over";
	return NAME(names, (unsigned)reason);
}

const char *crew_policy_name(crew_policy policy)
{
	static const char *const names[] = {
		[CREW_POLICY_DEFAULT] = "default",
		[CREW_DROP_NEWEST] = "drop-newest",
		[CREW_DROP_OLDEST] = "drop-oldest",
		[CREW_REPLACE] = "replace",
		[CREW_DISCONNECT] = "disconnect",
	};
	_Static_assert(crew__lengthof(names) == CREW_POLICIES, "a name for each policy");
	return NAME(names, (unsigned)policy);
}

const char *crew_verdict_name(crew_verdict verdict)
{
	static const char *const names[] = {
		[CREW_VERDICT_NONE] = "",
		[CREW_VERDICT_READER_STALLED] = "reader-stalled",
		[CREW_VERDICT_NETWORK] = "network",
		[CREW_VERDICT_KERNEL_BUFFER] = "kernel-buffer",
		[CREW_VERDICT_US] = "us",
		[CREW_VERDICT_RATE] = "rate",
		[CREW_VERDICT_GONE] = "gone",
	};
	_Static_assert(crew__lengthof(names) == CREW_VERDICTS, "a name for each verdict");
	return NAME(names, (unsigned)verdict);
}

const char *crew__callback_name(enum crew__callback callback)
{
	static const char *const names[] = {
		[CREW__CB_NONE] = "none",
		[CREW__CB_WORKER_START] = "on_worker_start",
		[CREW__CB_WORKER_STOP] = "on_worker_stop",
		[CREW__CB_RELOAD] = "on_reload",
		[CREW__CB_OPEN] = "on_open",
		[CREW__CB_MESSAGE] = "on_message",
		[CREW__CB_REQUEST] = "on_request",
		[CREW__CB_END] = "on_end",
		[CREW__CB_CLOSE] = "on_close",
		[CREW__CB_ERROR] = "on_error",
		[CREW__CB_FULL] = "on_full",
		[CREW__CB_DRAIN] = "on_drain",
		[CREW__CB_TIMER] = "timer",
		[CREW__CB_WATCH] = "watch",
		[CREW__CB_POST] = "post",
		[CREW__CB_EACH] = "each",
		[CREW__CB_PROTOCOL] = "protocol",
		[CREW__CB_PULL] = "pull",
		[CREW__CB_GAP] = "on_gap",
		[CREW__CB_FETCH] = "fetch",
		[CREW__CB_FAREWELL] = "on_farewell",
		[CREW__CB_OFFLOAD] = "offload",
		[CREW__CB_HANDOVER] = "on_handover",
		[CREW__CB_RESTORE] = "on_restore",
	};
	_Static_assert(crew__lengthof(names) == CREW__CALLBACKS, "a name for each callback");
	return NAME(names, (unsigned)callback);
}

const char *crew__conn_state_name(unsigned state)
{
	static const char *const names[] = {
		[CREW__CONN_HANDSHAKE] = "handshake",
		[CREW__CONN_OPEN] = "open",
		[CREW__CONN_CLOSING] = "closing",
		[CREW__CONN_LINGER] = "linger",
		[CREW__CONN_CLOSED] = "closed",
	};
	return NAME(names, state);
}

const char *crew__transport_name(unsigned transport)
{
	static const char *const names[] = {
		[CREW__TCP] = "tcp",
		[CREW__UNIX] = "unix",
		[CREW__UDP] = "udp",
		[CREW__TLS] = "tls",
	};
	return NAME(names, transport);
}

const char *crew__protocol_name(unsigned protocol)
{
	static const char *const names[] = {
		[CREW__RAW] = "raw",
		[CREW__TEXT] = "text",
		[CREW__FRAME] = "frame",
		[CREW__HTTP] = "http",
		[CREW__WS] = "ws",
		[CREW__CUSTOM] = "custom",
		[CREW__SSE] = "sse",
		[CREW__SSE_END] = "sse",
	};
	return NAME(names, protocol);
}
