#include "service/episodes.h"

#include "base/clock.h"
#include "net/address.h"
#include "stats/rings.h"

#include <stdio.h>
#include <string.h>

enum {
	LINES_PER_SECOND = 2, /* of each verdict, and of begins and ends apart */
	/* Events of losses: the ring is small, and other things are to be found in it too. */
	DROP_EVERY = 100,     /* hundredths between two of one connection, ... */
	DROP_DOUBLINGS = 6,   /* ... at first: twice as long after each, so often */
	DROPS_PER_SECOND = 8, /* of all connections that live */
	GAPS_PER_SECOND = 8,  /* likewise of gaps */
};

/* ---- words --------------------------------------------------------------------------------- */

struct size_text {
	char text[16];
};

static struct size_text size_text(uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KB", "MB", "GB", "TB" };
	struct size_text text;
	double value = (double)bytes;
	unsigned unit = 0;
	while (value >= 1000 && unit + 1 < crew__lengthof(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(text.text, sizeof(text.text), "%.*f %s", unit > 0 && value < 10 ? 1 : 0, value,
		units[unit]);
	return text;
}

static const char *verdict_words(unsigned verdict)
{
	return verdict == CREW_VERDICT_NONE ? "what holds it up could not be seen"
					    : crew_verdict_name((crew_verdict)verdict);
}

/* Not program_invocation_short_name alone: the process title is written over it. */
static const char *program_name(void)
{
	const struct crew__settings *settings = crew__settings_in_use();
	return settings ? settings->name : program_invocation_short_name;
}

static const char *plural(uint32_t count)
{
	return count == 1 ? "" : "s";
}

/* Slow clients are everyday life; what is ours to change is a warning. */
static crew_level level_of(unsigned verdict)
{
	bool ours = verdict == CREW_VERDICT_US || verdict == CREW_VERDICT_KERNEL_BUFFER;
	return ours ? CREW_WARN : CREW_INFO;
}

/* One limit for each verdict, begins and ends apart: a flood of one kind hides no other. */
static bool may_log(unsigned verdict, bool begins, char left_out[CREW__LEFT_OUT_MAX])
{
	static struct crew__log_rate rates[CREW_VERDICTS][2];
	return verdict < CREW_VERDICTS &&
	       crew__log_may(&rates[verdict][begins], LINES_PER_SECOND, left_out);
}

/* ---- lines --------------------------------------------------------------------------------- */

static const struct crew__record_slow *slow_of(const crew_conn *c)
{
	return &c->net->stats.slow[c->slot];
}

static const char *peer_of(const crew_conn *c, char *text, size_t size)
{
	crew__address_text(&c->net->stats.cold[c->slot].remote, text, size);
	return text;
}

static unsigned long long id_of(const crew_conn *c)
{
	return (unsigned long long)c->record->id;
}

/* Eight digits name life and slot: of those that live now no other begins with them. */
static void log_begin(crew_conn *c)
{
	const struct crew__record_slow *slow = slow_of(c);
	char left_out[CREW__LEFT_OUT_MAX], peer[80];
	if (!may_log(slow->verdict, true, left_out))
		return;
	crew__log(level_of(slow->verdict),
		"%s: %s (id %016llx) is slow: %s, %s in %u message%s wait; '%s explain %08x' "
		"says more%s",
		crew__worker_of(c)->service->name, peer_of(c, peer, sizeof(peer)), id_of(c),
		verdict_words(slow->verdict), size_text(c->record->bytes_queued).text,
		c->record->messages_queued, plural(c->record->messages_queued), program_name(),
		(unsigned)(c->record->id >> 32), left_out);
}

static double seconds_of(const struct crew__record_slow *slow)
{
	return (double)(uint32_t)(slow->ended - slow->began) / 100;
}

static void log_end(crew_conn *c)
{
	const struct crew__record_slow *slow = slow_of(c);
	char left_out[CREW__LEFT_OUT_MAX], peer[80], how[64] = "is no longer slow";
	if (!may_log(slow->verdict, false, left_out))
		return;
	if (c->record->end != CREW_END_REASONS)
		snprintf(how, sizeof(how), "ended slow (%s)",
			crew_end_name((crew_end_reason)c->record->end));
	crew__log(CREW_INFO,
		"%s: %s (id %016llx) %s after %.1f s: %s, at most %s in %u message%s waited, "
		"%s left, %u lost, %u replaced%s",
		crew__worker_of(c)->service->name, peer_of(c, peer, sizeof(peer)), id_of(c), how,
		seconds_of(slow), verdict_words(slow->verdict), size_text(slow->peak_bytes).text,
		slow->peak_messages, plural(slow->peak_messages), size_text(slow->drained).text,
		slow->lost, slow->replaced, left_out);
}

/* ---- events -------------------------------------------------------------------------------- */

static struct crew__event event_of(const crew_conn *c, enum crew__event_kind kind)
{
	return (struct crew__event){
		.kind = (uint8_t)kind,
		.conn = c->record->id,
		.verdict = slow_of(c)->id == c->record->id ? slow_of(c)->verdict : 0,
		.protocol = c->record->protocol,
		.remote = c->net->stats.cold[c->slot].remote,
	};
}

static void add_begin(crew_conn *c)
{
	struct crew__event event = event_of(c, CREW__EVENT_SLOW_BEGIN);
	event.values[0] = c->record->bytes_queued;
	event.values[1] = c->record->messages_queued;
	crew__events_add(c->net->stats.events, &event);
}

static void add_end(crew_conn *c)
{
	const struct crew__record_slow *slow = slow_of(c);
	struct crew__event event = event_of(c, CREW__EVENT_SLOW_END);
	event.reason = c->record->end;
	event.values[0] = (uint64_t)(uint32_t)(slow->ended - slow->began) * 10;
	event.values[1] = slow->peak_bytes;
	event.values[2] = slow->lost;
	event.values[3] = slow->replaced;
	crew__events_add(c->net->stats.events, &event);
}

/* ---- losses: one event a second for a connection, adding up ---- */

/* "full 120, expired 3"; only where there is more than one reason. */
static void name_reasons(const struct crew__slow_past *past, char *text, size_t size)
{
	size_t at = 0;
	text[0] = '\0';
	for (unsigned reason = 0; reason < CREW_LOST_REASONS && at < size; reason++) {
		if (past->drops[reason] == 0)
			continue;
		int n = snprintf(text + at, size - at, "%s%s %u", at > 0 ? ", " : "",
			crew_reason_name((crew_reason)reason), past->drops[reason]);
		at += n > 0 ? (size_t)n : 0;
	}
}

static void tell_drops(crew_conn *c)
{
	struct crew__slow_past *past = &crew__conn_rare(c)->past;
	struct crew__event event = event_of(c, CREW__EVENT_DROP);
	unsigned reasons = 0;
	for (unsigned reason = 0; reason < CREW_LOST_REASONS; reason++) {
		event.values[0] += past->drops[reason];
		reasons += past->drops[reason] > 0;
		if (past->drops[reason] > past->drops[event.reason])
			event.reason = (uint8_t)reason;
	}
	if (reasons == 0)
		return;
	event.values[1] = past->drops_bytes;
	if (reasons > 1)
		name_reasons(past, event.text, sizeof(event.text));
	crew__events_add(c->net->stats.events, &event);
	memset(past->drops, 0, sizeof(past->drops));
	past->drops_bytes = 0;
	past->drops_at = crew__net_now(c->net);
	past->drops_told = (uint8_t)(past->drops_told + (past->drops_told <= DROP_DOUBLINGS));
}

/* Not of one that goes on losing at once again; and a flood of them hides nothing else. */
static bool drops_are_due(const crew_conn *c, const struct crew__slow_past *past)
{
	uint32_t left_out;
	int32_t since = (int32_t)(crew__net_now(c->net) - past->drops_at);
	if (past->drops_told > 0 && since < DROP_EVERY << (past->drops_told - 1))
		return false;
	return crew__log_allowed(&crew__worker_of(c)->drop_events, DROPS_PER_SECOND, &left_out);
}

static uint32_t sum(uint32_t a, uint64_t b)
{
	return b > UINT32_MAX - a ? UINT32_MAX : a + (uint32_t)b;
}

static struct crew__slow_past *past_of(crew_conn *c)
{
	struct crew__slow_past *past = &crew__conn_touch(c)->past;
	if (past->id != c->record->id)
		*past = (struct crew__slow_past){ .id = c->record->id };
	return past;
}

/* What is not told yet waits for the next loss, the end of the episode, or the connection's. */
void crew__episode_loss(crew_conn *c, const crew_loss *loss)
{
	if ((unsigned)loss->reason >= CREW_LOST_REASONS)
		return;
	struct crew__slow_past *past = past_of(c);
	past->drops[loss->reason] = sum(past->drops[loss->reason], loss->messages);
	past->drops_bytes += loss->bytes;
	if (c->record->state == CREW__CONN_CLOSED || drops_are_due(c, past))
		tell_drops(c);
}

static void tell_gaps(crew_conn *c)
{
	crew_gap *gap = &crew__conn_rare(c)->past.gap;
	if (gap->messages == 0)
		return;
	struct crew__event event = event_of(c, CREW__EVENT_GAP);
	event.values[0] = gap->messages;
	event.values[1] = gap->bytes;
	event.values[2] = gap->first;
	event.values[3] = gap->last;
	crew__events_add(c->net->stats.events, &event);
	*gap = (crew_gap){ .messages = 0 };
}

/* Those that are always behind hear of a gap once a second; their events add up when they are many.
 */
void crew__episode_gap(crew_conn *c, const crew_gap *gap)
{
	crew_gap *sum_of = &past_of(c)->gap;
	uint32_t left_out;
	if (gap->first > 0 && (sum_of->first == 0 || gap->first < sum_of->first))
		sum_of->first = gap->first;
	sum_of->last = crew__max(sum_of->last, gap->last);
	sum_of->messages += gap->messages;
	sum_of->bytes += gap->bytes;
	if (crew__log_allowed(&crew__worker_of(c)->gap_events, GAPS_PER_SECOND, &left_out))
		tell_gaps(c);
}

void crew__episode_closed(crew_conn *c)
{
	if (crew__conn_rare(c)->past.id != c->record->id)
		return;
	tell_drops(c);
	tell_gaps(c);
}

void crew__episode(crew_conn *c, bool begins)
{
	if (begins) {
		log_begin(c);
		add_begin(c);
		return;
	}
	crew__episode_closed(c); /* before the end of the episode */
	struct crew__slow_past *past = &crew__conn_rare(c)->past;
	if (past->drops_told > 1)
		past->drops_told = 1;
	log_end(c);
	add_end(c);
}
