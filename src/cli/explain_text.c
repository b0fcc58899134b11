/* explain_text.c - `explain` for people. */
#include "cli/explain_parts.h"

#include "cli/when.h"

#include <inttypes.h>

enum {
	INDENT = 2,
	PARAGRAPH_MAX = 768,
};

static void heading(const struct crew__screen *screen, const char *text)
{
	fputc('\n', screen->out);
	crew__screen_text(screen, CREW__BOLD, text);
	fputc('\n', screen->out);
}

static void print_lines(const struct crew__screen *screen, const struct crew__lines *lines)
{
	char text[CREW__EXPLAIN_LINE_MAX + INDENT + 1];
	for (size_t i = 0; i < lines->count; i++) {
		snprintf(text, sizeof(text), "- %s", lines->text[i]);
		crew__screen_fold(screen, INDENT, text);
	}
}

/* ---- what it is ---------------------------------------------------------------------------- */

static void print_what(const struct crew__explain *explain, const struct crew__screen *screen)
{
	const struct crew__connection *conn = &explain->row.conn;
	char id[32], text[PARAGRAPH_MAX];
	snprintf(id, sizeof(id), "%016" PRIx64, conn->id);
	crew__screen_text(screen, CREW__BOLD, id);
	fputc('\n', screen->out);
	snprintf(text, sizeof(text),
		"Of %s, %s over %s, %sfrom %s to %s, of worker %s#%" PRIu32 " (pid %" PRIu64
		"). %s %s%s%s; %s came in, %s went out.",
		explain->service, conn->protocol, conn->transport,
		conn->outgoing ? "opened by us " : "", conn->outgoing ? conn->local : conn->remote,
		conn->outgoing ? conn->remote : conn->local, explain->service, explain->worker.id,
		conn->pid, explain->closed ? "It lived for" : "Its state is",
		explain->closed ? "" : conn->state, explain->closed ? "" : ", its age ",
		crew__unit_seconds(conn->age_s).text, crew__unit_bytes(conn->bytes_in).text,
		crew__unit_bytes(conn->bytes_out).text);
	crew__screen_fold(screen, 0, text);
}

static void print_end(const struct crew__explain *explain, const struct crew__screen *screen)
{
	const struct crew__closed_row *row = &explain->row;
	char text[PARAGRAPH_MAX], when[CREW__WHEN_MAX];
	const char *who = strcmp(row->ended_by, "us") == 0         ? "by us"
			  : strcmp(row->ended_by, "peer") == 0     ? "by the peer"
			  : strcmp(row->ended_by, "operator") == 0 ? "by an operator"
								   : "by nobody knows whom";
	snprintf(text, sizeof(text), "It ended %s ago, at %s, %s: %s (%s).",
		crew__unit_seconds((double)explain->ended_ago_ms / 1000).text,
		crew__when_local(row->closed_at, when), who, row->end,
		crew__end_sentence(explain->end));
	crew__screen_fold(screen, 0, text);
	if (row->unsent_messages)
		snprintf(text, sizeof(text),
			"%s in %" PRIu64 " message%s waited for it and were lost.",
			crew__unit_bytes(row->unsent).text, row->unsent_messages,
			row->unsent_messages == 1 ? "" : "s");
	else
		snprintf(text, sizeof(text), "Nothing waited for it.");
	crew__screen_fold(screen, 0, text);
}

static void print_verdict(const struct crew__explain *explain, const struct crew__screen *screen)
{
	char text[PARAGRAPH_MAX];
	fputc('\n', screen->out);
	if (explain->verdict != CREW_VERDICT_NONE) {
		crew__screen_text(screen,
			explain->verdict == CREW_VERDICT_US ? CREW__RED : CREW__YELLOW,
			crew_verdict_name(explain->verdict));
		fputs(explain->closed ? ", when it ended\n" : "\n", screen->out);
	}
	crew__explain_meaning(explain, text, sizeof(text));
	crew__screen_fold(screen, 0, text);
}

/* ---- the rest ------------------------------------------------------------------------------ */

static int print_evidence(const struct crew__explain *explain, const struct crew__screen *screen)
{
	static const struct crew__column columns[] = {
		{ "figure", false, 0 },
		{ "value", false, 12 },
		{ "what it says", false, 12 },
	};
	const struct crew__slow_figures *f = &explain->slow.figures;
	struct crew__explain_figures figures;
	struct crew__table table;
	char text[PARAGRAPH_MAX];
	crew__explain_figures(explain, &figures);
	if (figures.count == 0)
		return 0;
	snprintf(text, sizeof(text), "The evidence (looked at %s %s, over %s)",
		crew__unit_seconds(crew__hundredths_since(explain->now, f->at)).text,
		explain->closed ? "before the end" : "ago",
		crew__unit_seconds(f->window_ms / 1000.0).text);
	heading(screen, text);
	crew__table_init(&table, columns, crew__lengthof(columns));
	for (size_t i = 0; i < figures.count; i++) {
		crew__table_text(&table, figures.figure[i].name);
		crew__table_text(&table, figures.figure[i].value);
		crew__table_text(&table, figures.figure[i].says);
	}
	int error = crew__table_print(&table, screen);
	crew__table_fini(&table);
	return error;
}

static void print_cost(const struct crew__explain *explain, const struct crew__screen *screen)
{
	const struct crew__connection *conn = &explain->row.conn;
	char text[PARAGRAPH_MAX];
	heading(screen, "What it costs at present");
	size_t used = (size_t)snprintf(text, sizeof(text),
		"%s in %" PRIu64
		" message%s in our queue, the oldest for %s; in the kernel %s unsent",
		crew__unit_bytes(conn->send_queue).text, conn->send_queue_messages,
		conn->send_queue_messages == 1 ? "" : "s",
		crew__unit_seconds(conn->oldest_queued_s).text,
		crew__unit_bytes(conn->kernel_unsent).text);
	if (explain->has_slow && explain->slow.figures.at && used < sizeof(text))
		snprintf(text + used, sizeof(text) - used, ", %s of memory",
			crew__unit_bytes(explain->slow.figures.kernel_memory).text);
	crew__screen_fold(screen, INDENT, text);
}

static void print_some(
	const struct crew__screen *screen, const char *title, const struct crew__lines *lines)
{
	if (lines->count == 0)
		return;
	heading(screen, title);
	print_lines(screen, lines);
}

static void print_losses(const struct crew__explain *explain, const struct crew__screen *screen)
{
	const struct crew__connection *conn = &explain->row.conn;
	char text[PARAGRAPH_MAX];
	if (conn->send_fail == 0)
		return;
	snprintf(text, sizeof(text), "What it lost: %" PRIu64 " message%s", conn->send_fail,
		conn->send_fail == 1 ? "" : "s");
	heading(screen, text);
	for (crew_reason i = 0; i < CREW_LOST_REASONS; i++) {
		if (!conn->fail[i])
			continue;
		snprintf(text, sizeof(text), "- %s %" PRIu32 ": %s", crew_reason_name(i),
			conn->fail[i], crew__loss_sentence(i));
		crew__screen_fold(screen, INDENT, text);
	}
}

static void print_episode(const struct crew__explain *explain, const struct crew__screen *screen)
{
	const struct crew__record_slow *slow = &explain->slow;
	char text[PARAGRAPH_MAX], when[CREW__WHEN_MAX];
	uint32_t end = slow->slow ? explain->now : slow->ended;
	snprintf(text, sizeof(text),
		"%s at %s %s %s: at most %s in %" PRIu32 " messages waited, %s left, %" PRIu32
		" messages were lost and %" PRIu32 " replaced. Slow %" PRIu32 " time%s in all.",
		slow->slow ? "It became slow" : "It last was slow",
		crew__when_local(crew__explain_moment(explain, slow->began), when),
		slow->slow ? "and has been so for" : "for",
		crew__unit_seconds(crew__hundredths_since(end, slow->began)).text,
		crew__unit_bytes(slow->peak_bytes).text, slow->peak_messages,
		crew__unit_bytes(slow->drained).text, slow->lost, slow->replaced, slow->episodes,
		slow->episodes == 1 ? "" : "s");
	crew__screen_fold(screen, INDENT, text);
}

static void print_history(const struct crew__explain *explain, const struct crew__screen *screen)
{
	struct crew__slow_change changes[CREW__SLOW_HISTORY];
	size_t count = crew__explain_history(explain, changes);
	char text[PARAGRAPH_MAX], when[CREW__WHEN_MAX];
	if (count == 0 && explain->slow.episodes == 0)
		return;
	heading(screen, "Its history");
	for (size_t i = 0; i < count; i++) {
		const char *name = crew_verdict_name((crew_verdict)changes[i].verdict);
		snprintf(text, sizeof(text), "- %s  %s",
			crew__when_local(crew__explain_moment(explain, changes[i].at), when),
			*name ? name : "no verdict any more");
		crew__screen_fold(screen, INDENT, text);
	}
	if (explain->closed && explain->slow.episodes) {
		snprintf(text, sizeof(text), "It was slow %" PRIu32 " time%s in all.",
			explain->slow.episodes, explain->slow.episodes == 1 ? "" : "s");
		crew__screen_fold(screen, INDENT, text);
	} else if (explain->slow.episodes) {
		print_episode(explain, screen);
	}
}

int crew__explain_print_text(const struct crew__explain *explain, const struct crew__screen *screen)
{
	struct crew__lines lines;
	bool waits = !explain->closed && explain->row.conn.send_queue > 0;
	print_what(explain, screen);
	if (explain->closed)
		print_end(explain, screen);
	print_verdict(explain, screen);
	int error = waits || (explain->closed && explain->verdict != CREW_VERDICT_NONE)
			    ? print_evidence(explain, screen)
			    : 0;
	if (waits) {
		print_cost(explain, screen);
		crew__explain_next(explain, &lines);
		print_some(screen, "What happens next", &lines);
	}
	crew__explain_advice(explain, &lines);
	print_some(screen, "What to do", &lines);
	print_losses(explain, screen);
	print_history(explain, screen);
	return error;
}
