/* explain_advice.c - what happens next by the settings, and what an operator can do about it. */
#include "cli/explain_parts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void say(
	struct crew__lines *lines, const char *format, ...)
{
	if (lines->count >= CREW__EXPLAIN_LINES)
		return;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(lines->text[lines->count++], CREW__EXPLAIN_LINE_MAX, format, arguments);
	va_end(arguments);
}

/* ---- what happens next --------------------------------------------------------------------- */

static const char *policy_sentence(int64_t policy)
{
	switch (policy) {
	case CREW_DROP_OLDEST:
		return "the oldest that wait make room for new ones (`evicted`)";
	case CREW_REPLACE:
		return "a new message takes the place of the one with its key, and the oldest make "
		       "room for those that have none (`evicted`)";
	case CREW_DISCONNECT:
		return "it is ended (`full`), and what waits is lost with it";
	default:
		return "new messages are refused (`full`), and what waits stays";
	}
}

static void next_policy(const struct crew__explain *explain, struct crew__lines *lines)
{
	const struct crew__connection *conn = &explain->row.conn;
	uint64_t most = (uint64_t)explain->settings.max_send_buffer;
	bool http = strcmp(conn->protocol, crew__protocol_name(CREW__HTTP)) == 0;
	bool full = conn->send_queue >= most;
	int64_t policy = http ? CREW_DROP_NEWEST : explain->settings.policy;
	say(lines, "Policy %s%s: the queue is %s (%s of %s%s)%s %s.",
		crew_policy_name((crew_policy)policy),
		http ? " (answers of HTTP have no other)" : "", full ? "full" : "not full",
		crew__unit_bytes(conn->send_queue).text, explain->tight ? "" : "max_send_buffer ",
		crew__unit_bytes(most).text, full ? ":" : "; once it is,", policy_sentence(policy));
	if (explain->tight)
		say(lines,
			"That limit is below max_send_buffer, because the buffer budget is nearly "
			"spent, or because the peer has not proved who it is "
			"(unauthenticated_limit).");
}

static void next_deadline(const struct crew__explain *explain, struct crew__lines *lines)
{
	int64_t timeout_ms = explain->settings.send_timeout_ms;
	if (timeout_ms == 0)
		say(lines,
			"No deadline (send_timeout_ms is off): a peer that takes nothing may go on "
			"like that for ever.");
	else
		say(lines,
			"Deadline: it is cut off (`deadline`) when it takes nothing for %s "
			"(send_timeout_ms); the kernel last took something for it %s ago.",
			crew__unit_ms(timeout_ms).text,
			crew__unit_seconds(explain->row.conn.idle_out_s).text);
}

static void next_soft_limit(const struct crew__explain *explain, struct crew__lines *lines)
{
	const struct crew__service_settings *settings = &explain->settings;
	if (settings->soft_limit == 0)
		return;
	bool above = explain->row.conn.send_queue >= (uint64_t)settings->soft_limit;
	say(lines,
		"Soft limit: it is ended (`full`) when the queue stays at or above %s for %s; "
		"it is %s.",
		crew__unit_bytes((uint64_t)settings->soft_limit).text,
		crew__unit_ms(settings->soft_limit_ms).text,
		above ? "above now, and the clock runs" : "below");
}

static void next_rate(const struct crew__explain *explain, struct crew__lines *lines)
{
	const struct crew__service_settings *settings = &explain->settings;
	if (settings->rate_bytes)
		say(lines, "Rate cap: %s a second (rate_bytes).",
			crew__unit_bytes((uint64_t)settings->rate_bytes).text);
	if (settings->rate_messages)
		say(lines, "Rate cap: %" PRId64 " messages a second (rate_messages).",
			settings->rate_messages);
}

void crew__explain_next(const struct crew__explain *explain, struct crew__lines *ret_lines)
{
	ret_lines->count = 0;
	if (explain->closed || !explain->has_settings)
		return;
	next_policy(explain, ret_lines);
	next_deadline(explain, ret_lines);
	next_soft_limit(explain, ret_lines);
	next_rate(explain, ret_lines);
	if (explain->exact)
		say(ret_lines,
			"This is what holds for this connection; a message may bring a policy "
			"of its own.");
	else
		say(ret_lines,
			explain->changed_live
				? "These are the settings that this command was given, with what "
				  "`set` has changed since; the program may have set a "
				  "connection's own."
				: "These are the settings that this command was given: a start "
				  "with others, a live `set`, or the program itself may have "
				  "changed them.");
}

/* ---- advice -------------------------------------------------------------------------------- */

/* What bounds the cost of a peer that does not take what it is sent. */
static void advise_bounds(const struct crew__explain *explain, struct crew__lines *lines)
{
	const struct crew__service_settings *settings = &explain->settings;
	const char *program = explain->program, *service = explain->service;
	if (explain->has_settings && settings->policy == CREW_DROP_NEWEST)
		say(lines,
			"If the newest matters more than the oldest: `%s set "
			"%s.policy=drop-oldest` (or `replace`, when messages have keys).",
			program, service);
	if (explain->has_settings && settings->send_timeout_ms == 0)
		say(lines,
			"To cut off peers that take nothing for 30 seconds: `%s set "
			"%s.send_timeout_ms=30000`.",
			program, service);
	if (!explain->closed)
		say(lines, "To end it now, and give its memory back: `%s kick %016" PRIx64 "`.",
			program, explain->row.conn.id);
}

static void advise_network(const struct crew__explain *explain, struct crew__lines *lines)
{
	const struct crew__slow_figures *f = &explain->slow.figures;
	if (f->retransmits && (uint64_t)f->retransmits * CREW__PERCENT >= f->segments_out)
		say(lines,
			"Segments are lost: look at the peer's radio or link, and at congestion on "
			"the way. Do many peers have it? Then it is nearer to us.");
	else
		say(lines,
			"Nothing is lost, so the way is narrow or long: the peer gets %s/s and is "
			"offered more. Send it less, or less often.",
			crew__unit_bytes(f->delivery_rate).text);
	say(lines, "`%s connections --sort verdict` shows whether others have it too.",
		explain->program);
	advise_bounds(explain, lines);
}

static void advise_buffer(const struct crew__explain *explain, struct crew__lines *lines)
{
	const struct crew__slow_figures *f = &explain->slow.figures;
	say(lines,
		"Raise the kernel's limit: `sysctl net.ipv4.tcp_wmem` (the third number; at most %s "
		"here).",
		crew__unit_bytes(f->kernel_memory_most).text);
	say(lines,
		"Or let the kernel have more before it is full: `%s set "
		"%s.kernel_unsent_limit=512k` (for new connections). Does the program set SO_SNDBUF? "
		"Then it should not.",
		explain->program, explain->service);
}

static void advise_us(const struct crew__explain *explain, struct crew__lines *lines)
{
	const struct crew__worker_look *worker = &explain->worker;
	if (!explain->closed && worker->stopped)
		say(lines, "Let it go on: `kill -CONT %d`; or is a debugger attached to it?",
			(int)worker->pid);
	else if (!explain->closed && worker->gone)
		say(lines, "The master starts another one; `%s events` tells what it died of.",
			explain->program);
	else if (!explain->closed && worker->busy_in)
		say(lines,
			"Look at what %s does: `%s status` tells for how long, and a debugger "
			"(`gdb -p %d`) where.",
			worker->busy_in, explain->program, (int)worker->pid);
	say(lines,
		"Work that takes long belongs into a thread that reports by crew_post(), and large "
		"broadcasts into parts.");
	say(lines,
		"If all of it is needed here, more workers help: [%s] workers = auto, then "
		"`%s reload`.",
		explain->service, explain->program);
}

static void advise_rate(const struct crew__explain *explain, struct crew__lines *lines)
{
	say(lines,
		"If it is meant to be so, nothing is to be done; what waits too long falls under "
		"the policy.");
	say(lines,
		"The service's caps: `%s set %s.rate_bytes=N` or `rate_messages=N` (off: no cap); "
		"the program may have set this connection's own by crew_set_rate().",
		explain->program, explain->service);
}

static void advise_standing(const struct crew__explain *explain, struct crew__lines *lines)
{
	char standing[128];
	if (explain->closed || !explain->worker.stands_still || explain->verdict == CREW_VERDICT_US)
		return;
	crew__explain_standing(&explain->worker, standing, sizeof(standing));
	say(lines,
		"Mind that worker %s#%" PRIu32 " (pid %d) stands still at present: %s. What is "
		"said here is from before.",
		explain->service, explain->worker.id, (int)explain->worker.pid, standing);
}

void crew__explain_advice(const struct crew__explain *explain, struct crew__lines *ret_lines)
{
	ret_lines->count = 0;
	advise_standing(explain, ret_lines);
	switch (explain->verdict) {
	case CREW_VERDICT_READER_STALLED:
		say(ret_lines,
			"Look at the client: a tab in the background, a blocked thread, a "
			"stopped process, a machine asleep. Nothing on this side makes it read.");
		advise_bounds(explain, ret_lines);
		break;
	case CREW_VERDICT_NETWORK:
		advise_network(explain, ret_lines);
		break;
	case CREW_VERDICT_KERNEL_BUFFER:
		advise_buffer(explain, ret_lines);
		break;
	case CREW_VERDICT_US:
		advise_us(explain, ret_lines);
		break;
	case CREW_VERDICT_RATE:
		advise_rate(explain, ret_lines);
		break;
	case CREW_VERDICT_GONE:
		say(ret_lines,
			"The kernel gives up after about a quarter of an hour; until then it "
			"holds the memory, and so do we.");
		advise_bounds(explain, ret_lines);
		break;
	default:
		break;
	}
}
