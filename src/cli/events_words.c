/* events_words.c - one event in words, and lines of them. */
#include "cli/events.h"

#include "cli/screen.h"
#include "cli/when.h"
#include "net/address.h"

#include <inttypes.h>
#include <string.h>

enum {
	ADDRESS_MAX = 72,
	WHO_MAX = CREW__NAME_MAX + 16,
	RELOAD_BEGAN = 0,
	RELOAD_DONE = 1,
};

/* What is later was not written by a worker that is well. */
#define TIME_MOST (UINT64_C(1) << 40)

struct unit_text {
	char text[CREW__UNIT_MAX];
};

static struct unit_text bytes(uint64_t n)
{
	struct unit_text unit = { "" };
	crew__bytes_text(n, unit.text);
	return unit;
}

static struct unit_text duration(uint64_t ms)
{
	struct unit_text unit = { "" };
	crew__seconds_text((double)ms / 1000, unit.text);
	return unit;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

const char *crew__event_row_name(const struct crew__event_row *row)
{
	return row->missed ? "missed" : crew__event_name(row->event.kind);
}

static const char *why(const struct crew__event *event)
{
	const char *name = crew_verdict_name((crew_verdict)event->verdict);
	return *name ? name : "not yet clear why";
}

static void slow_end(const struct crew__event *event, char *text, size_t size)
{
	const uint64_t *v = event->values;
	char how[48] = "no longer slow";
	if (event->reason < CREW_END_REASONS)
		snprintf(how, sizeof(how), "ended while slow (%s)",
			crew_end_name((crew_end_reason)event->reason));
	snprintf(text, size,
		"%s, after %s: %s; at most %s waited, %" PRIu64 " message%s lost, %" PRIu64
		" replaced",
		how, duration(v[0]).text, why(event), bytes(v[1]).text, v[2], plural(v[2]), v[3]);
}

static void gap(const struct crew__event *event, char *text, size_t size)
{
	const uint64_t *v = event->values;
	size_t used = (size_t)snprintf(text, size,
		"moves again; %" PRIu64 " message%s (%s) were lost meanwhile", v[0], plural(v[0]),
		bytes(v[1]).text);
	if ((v[2] || v[3]) && used < size)
		snprintf(text + used, size - used, ", of numbers %" PRIu64 " to %" PRIu64, v[2],
			v[3]);
}

static void kick(const struct crew__event *event, char *text, size_t size)
{
	const uint64_t *v = event->values;
	if (v[1])
		snprintf(text, size, "ended by an operator; %s in %" PRIu64 " message%s waited",
			bytes(v[0]).text, v[1], plural(v[1]));
	else
		snprintf(text, size, "ended by an operator; nothing waited");
}

/* The stages of net/budget.h. */
static void budget(const struct crew__event *event, char *text, size_t size)
{
	static const char *const deeds[] = { "all is taken again",
		"the longest queues may grow no further", "nothing is read",
		"new connections are refused", "the longest queues are ended" };
	const uint64_t *v = event->values;
	snprintf(text, size, "buffer budget: stage %" PRIu64 " (%s), queues hold %s of %s", v[0],
		v[0] < crew__lengthof(deeds) ? deeds[v[0]] : "unknown to this version",
		bytes(v[1]).text, bytes(v[2]).text);
}

static void death(const struct crew__event *event, char *text, size_t size)
{
	const uint64_t *v = event->values;
	size_t used = 0;
	if (v[3] && v[3] < INT32_MAX)
		used = (size_t)snprintf(
			text, size, "died of signal %" PRIu64 " (%s)", v[3], strsignal((int)v[3]));
	else
		used = (size_t)snprintf(text, size, "ended with status %" PRIu64, v[4]);
	if (used < size)
		snprintf(text + used, size - used, ", pid %" PRIu64 " of generation %" PRIu64, v[2],
			v[1]);
}

static void reload(const struct crew__event *event, char *text, size_t size)
{
	uint64_t phase = event->values[1];
	snprintf(text, size, "reload to generation %" PRIu64 " %s", event->values[0],
		phase == RELOAD_BEGAN  ? "began"
		: phase == RELOAD_DONE ? "is done"
				       : "failed; what ran goes on");
}

static void certificates(const struct crew__event *event, char *text, size_t size)
{
	char date[CREW__WHEN_MAX];
	if (!event->values[0])
		snprintf(text, size, "new certificates were not taken");
	else
		snprintf(text, size, "new certificates are in force, the first expires %s",
			crew__when_iso((int64_t)(event->values[1] % TIME_MOST) * 1000, date));
}

static void stall(const struct crew__event *event, const char *what, char *text, size_t size)
{
	const uint64_t *v = event->values;
	bool known = v[4] != CREW__CB_NONE && v[4] < CREW__CALLBACKS;
	snprintf(text, size, "%s %s for %s, pid %" PRIu64, what,
		known ? crew__callback_name((enum crew__callback)v[4]) : "crew itself",
		duration(v[3]).text, v[2]);
}

static void crash_loop(const struct crew__event *event, char *text, size_t size)
{
	const uint64_t *v = event->values;
	if (v[3] == 0)
		snprintf(text, size, "the crash loop is over");
	else
		snprintf(text, size,
			"crash loop: died young %" PRIu64 " times in a row, is started again in %s",
			v[3], duration(v[4]).text);
}

static void say(const struct crew__event *event, char *text, size_t size)
{
	const uint64_t *v = event->values;
	switch (event->kind) {
	case CREW__EVENT_SLOW_BEGIN:
		snprintf(text, size, "became slow: %s; %s in %" PRIu64 " message%s wait",
			why(event), bytes(v[0]).text, v[1], plural(v[1]));
		break;
	case CREW__EVENT_SLOW_END:
		slow_end(event, text, size);
		break;
	case CREW__EVENT_DROP:
		snprintf(text, size, "lost %" PRIu64 " message%s (%s)%s%s", v[0], plural(v[0]),
			bytes(v[1]).text, event->text[0] ? "" : ": ",
			event->text[0] ? "" : crew_reason_name((crew_reason)event->reason));
		break;
	case CREW__EVENT_GAP:
		gap(event, text, size);
		break;
	case CREW__EVENT_KICK:
		kick(event, text, size);
		break;
	case CREW__EVENT_BUDGET:
		budget(event, text, size);
		break;
	case CREW__EVENT_SET:
		snprintf(text, size, "set");
		break;
	case CREW__EVENT_TLS:
		certificates(event, text, size);
		break;
	case CREW__EVENT_START:
		snprintf(
			text, size, "is ready, pid %" PRIu64 " of generation %" PRIu64, v[2], v[1]);
		break;
	case CREW__EVENT_DEATH:
		death(event, text, size);
		break;
	case CREW__EVENT_RECYCLE:
		snprintf(text, size, "pid %" PRIu64 " of generation %" PRIu64 " is recycled", v[2],
			v[1]);
		break;
	case CREW__EVENT_RELOAD:
		reload(event, text, size);
		break;
	case CREW__EVENT_SLOW_CALLBACK:
		stall(event, "has been in", text, size);
		break;
	case CREW__EVENT_STUCK:
		stall(event, "is ended: it was stuck in", text, size);
		break;
	case CREW__EVENT_CRASH_LOOP:
		crash_loop(event, text, size);
		break;
	case CREW__EVENT_STOP:
		snprintf(text, size, "was told to stop");
		break;
	case CREW__EVENT_RATE:
		snprintf(text, size,
			"refused %" PRIu64 " connection%s that came faster than %" PRIu64
			" a second from one address",
			v[0], plural(v[0]), v[1]);
		break;
	case CREW__EVENT_HANDOVER:
		snprintf(text, size,
			"handed over %" PRIu64 " connection%s; %" PRIu64 " stayed, to drain", v[0],
			plural(v[0]), v[1]);
		break;
	default:
		snprintf(text, size, "an event that this version does not know");
	}
}

void crew__event_row_words(const struct crew__event_row *row, char *text, size_t size)
{
	if (row->missed)
		snprintf(text, size, "%" PRIu64 " event%s had been overwritten",
			row->event.values[0], plural(row->event.values[0]));
	else
		say(&row->event, text, size);
	size_t used = strlen(text);
	if (row->event.text[0])
		snprintf(text + used, size - used, "%s%s",
			row->event.kind == CREW__EVENT_SET ? " " : ": ", row->event.text);
}

/* "feed#0"; "program" for what is about no worker. */
static const char *who_of(const struct crew__event_row *row, char *text)
{
	if (row->has_worker)
		snprintf(text, WHO_MAX, "%s#%" PRIu32, row->service, row->worker);
	else
		snprintf(text, WHO_MAX, "program");
	return text;
}

static void print_row(const struct crew__event_row *row, FILE *out)
{
	char when[CREW__WHEN_MAX], who[WHO_MAX], words[CREW__EVENT_TEXT_MAX], peer[ADDRESS_MAX];
	crew__event_row_words(row, words, sizeof(words));
	fprintf(out, "%s  %-10s  %-10s  ", crew__when_local(row->event.wall_ms, when),
		who_of(row, who), crew__event_row_name(row));
	if (row->event.conn) {
		crew__address_text(&row->event.remote, peer, sizeof(peer));
		fprintf(out, "%016" PRIx64 " %s ", row->event.conn, peer);
	}
	fprintf(out, "%s\n", words);
}

void crew__event_rows_text(const struct crew__event_rows *rows, FILE *out)
{
	for (size_t i = 0; i < rows->count; i++)
		print_row(&rows->rows[i], out);
}
