/* explain_words.c - what a verdict means, and when it came, in words.
 *
 * The rules behind the verdicts are net/verdict.c's and are told in docs/verdicts.md. */
#include "cli/explain_parts.h"

#include <inttypes.h>

enum {
	MS_OF_HUNDREDTH = 10,
	AHEAD = 100, /* hundredths */
	EARLY_S = 3
};

void crew__explain_standing(const struct crew__worker_look *worker, char *text, size_t size)
{
	if (worker->gone)
		snprintf(text, size, "its process has ended");
	else if (worker->stopped)
		snprintf(text, size, "it was stopped by a signal or a debugger");
	else
		snprintf(text, size, "its loop has been %s%s for %s",
			worker->busy_in ? "in " : "in one turn",
			worker->busy_in ? worker->busy_in : "",
			crew__unit_ms((int64_t)(worker->turn_ms & INT64_MAX)).text);
}

static void mean_us(const struct crew__explain *explain, char *text, size_t size)
{
	char standing[128];
	if (explain->closed || !explain->worker.stands_still) {
		snprintf(text, size,
			"Our own worker is late: the kernel had nothing to send although messages "
			"wait, because the loop was busy with something else. Peer and network are "
			"not the cause.");
		return;
	}
	crew__explain_standing(&explain->worker, standing, sizeof(standing));
	snprintf(text, size,
		"Our own worker stands still: %s. It sends nothing, to nobody; peer and network are "
		"not the cause.",
		standing);
}

static void mean_none(const struct crew__explain *explain, char *text, size_t size)
{
	const struct crew__connection *conn = &explain->row.conn;
	if (explain->closed)
		snprintf(text, size, "There was no verdict on it when it ended: %s.",
			explain->row.unsent ? "what waited had not waited for long"
					    : "nothing waited for it");
	else if (conn->send_queue == 0)
		snprintf(text, size, "Nothing is wrong: nothing waits for it.");
	else
		snprintf(text, size, "%s in %" PRIu64 " message%s wait, the oldest for %s; %s",
			crew__unit_bytes(conn->send_queue).text, conn->send_queue_messages,
			conn->send_queue_messages == 1 ? "" : "s",
			crew__unit_seconds(conn->oldest_queued_s).text,
			conn->oldest_queued_s < EARLY_S
				? "it is too early to say why. A verdict takes two looks in a row: "
				  "ask again in a second."
				: "the figures name no cause.");
}

void crew__explain_meaning(const struct crew__explain *explain, char *text, size_t size)
{
	static const char *const meanings[CREW_VERDICTS] = {
		[CREW_VERDICT_READER_STALLED] =
			"The peer's program does not read what it is sent, or reads too slowly. Its "
			"receive buffer is full, so its kernel has told ours to wait. Network and "
			"server are well.",
		[CREW_VERDICT_NETWORK] =
			"The way to the peer is slow or loses what is sent: our kernel always had "
			"something to send, and neither the peer's window nor our buffer held it back.",
		[CREW_VERDICT_KERNEL_BUFFER] =
			"Our kernel's send buffer is too small for the way to this peer: it is empty "
			"before the acknowledgements are back, and the way stands half unused.",
		[CREW_VERDICT_RATE] =
			"Our own rate cap holds it back, as it was told to. The peer could take more.",
		[CREW_VERDICT_GONE] =
			"The peer answers nothing any more: its machine, or the way to it, has gone, "
			"and nobody said goodbye.",
	};
	if (explain->verdict == CREW_VERDICT_US)
		mean_us(explain, text, size);
	else if ((unsigned)explain->verdict < CREW_VERDICTS && meanings[explain->verdict])
		snprintf(text, size, "%s", meanings[explain->verdict]);
	else
		mean_none(explain, text, size);
}

/* The group send_fail_by_reason is in the order of the enum. */
const char *crew__loss_sentence(crew_reason reason)
{
	size_t member = offsetof(struct crew__slab, fail_closed) +
			(size_t)reason * sizeof(uint64_t);
#define X(field, kind, group, name, unit, sentence)       \
	if (offsetof(struct crew__slab, field) == member) \
		return sentence;
	CREW_COUNTER_TABLE(X)
#undef X
	return "";
}

/* ---- history ------------------------------------------------------------------------------- */

size_t crew__explain_history(
	const struct crew__explain *explain, struct crew__slow_change *ret_changes)
{
	const struct crew__record_slow *slow = &explain->slow;
	size_t count = 0;
	for (unsigned i = 0; i < CREW__SLOW_HISTORY && explain->has_slow; i++) {
		const struct crew__slow_change *change =
			&slow->history[(slow->changes + i) % CREW__SLOW_HISTORY];
		if (change->at && change->verdict < CREW_VERDICTS)
			ret_changes[count++] = *change;
	}
	return count;
}

int64_t crew__explain_moment(const struct crew__explain *explain, uint32_t at)
{
	uint32_t passed = explain->now - at;
	/* Its clock may be read a little later than ours. */
	if (passed > UINT32_MAX - AHEAD)
		passed = 0;
	return explain->now_ms - (int64_t)passed * MS_OF_HUNDREDTH;
}
