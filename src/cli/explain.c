/* explain.c - finding a connection by the beginning of its id, and all that is known of it. */
#include "cli/explain.h"

#include "base/clock.h"
#include "cli/command.h"
#include "cli/screen.h"
#include "cli/view_parts.h"
#include "cli/when.h"
#include "stats/rings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	LIFE_DIGITS = 3 /* of an id */
};

/* ---- what was set since the start ---------------------------------------------------------- */

static bool set_policy(const char *value, int64_t *policy)
{
	for (int64_t i = CREW_DROP_NEWEST; i < CREW_POLICIES; i++)
		if (strcmp(value, crew_policy_name((crew_policy)i)) == 0) {
			*policy = i;
			return true;
		}
	return false;
}

/* Those that are told of. */
static int64_t *number_of(struct crew__service_settings *settings, const char *key)
{
	static const struct {
		const char *key;
		size_t member;
	} numbers[] = {
#define NUMBER(name) { #name, offsetof(struct crew__service_settings, name) }
		NUMBER(max_send_buffer),
		NUMBER(kernel_unsent_limit),
		NUMBER(send_timeout_ms),
		NUMBER(soft_limit),
		NUMBER(soft_limit_ms),
		NUMBER(rate_bytes),
		NUMBER(rate_messages),
#undef NUMBER
	};
	for (size_t i = 0; i < crew__lengthof(numbers); i++)
		if (strcmp(key, numbers[i].key) == 0)
			return (int64_t *)(void *)((char *)settings + numbers[i].member);
	return NULL;
}

/* "key=value" or "service.key=value", of another process's memory. */
static bool apply_set(struct crew__service_settings *settings, const char *text)
{
	char key[CREW__NAME_MAX];
	const char *equals = strchr(text, '=');
	const char *dot = equals ? memchr(text, '.', (size_t)(equals - text)) : NULL;
	const char *name = dot ? dot + 1 : text;
	if (!equals || (size_t)(equals - name) >= sizeof(key))
		return false;
	snprintf(key, sizeof(key), "%.*s", (int)(equals - name), name);
	if (strcmp(key, "policy") == 0)
		return set_policy(equals + 1, &settings->policy);
	int64_t number, *place = number_of(settings, key);
	if (!place || crew__parse_number(equals + 1, &number) || number < 0)
		return false;
	*place = number;
	return true;
}

static void apply_sets(struct crew__explain *explain, const struct crew__segment *segment)
{
	const struct crew__events *ring = crew__segment_events(segment);
	struct crew__event event;
	uint64_t after = 0, missed = 0;
	while (ring && crew__events_next(ring, &after, &event, &missed))
		if (event.kind == CREW__EVENT_SET && apply_set(&explain->settings, event.text))
			explain->changed_live = true;
}

static void take_settings(struct crew__explain *explain, const struct crew__settings *settings,
	const struct crew__segment *segment)
{
	explain->program = settings->name;
	for (unsigned i = 0; i < settings->services; i++)
		if (strcmp(settings->service[i].service->name, explain->service) == 0) {
			explain->settings = settings->service[i];
			explain->has_settings = true;
			apply_sets(explain, segment);
			return;
		}
}

static int64_t to_number(uint64_t n)
{
	return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

/* What its worker says of the connection is better than what this command has read. */
static void take_bounds(struct crew__explain *explain)
{
	const struct crew__slow_bounds *bounds = &explain->slow.bounds;
	struct crew__service_settings *s = &explain->settings;
	if (!explain->has_slow || bounds->policy == CREW_POLICY_DEFAULT ||
		bounds->policy >= CREW_POLICIES)
		return;
	s->policy = bounds->policy;
	s->max_send_buffer = to_number(bounds->limit);
	s->soft_limit = to_number(bounds->soft_limit);
	s->soft_limit_ms = (int64_t)bounds->soft_time * 10;
	s->send_timeout_ms = (int64_t)bounds->send_timeout * 10;
	s->rate_bytes = to_number(bounds->rate_bytes);
	s->rate_messages = to_number(bounds->rate_messages);
	explain->tight = bounds->tight;
	explain->exact = true;
	explain->has_settings = true;
}

/* ---- finding ------------------------------------------------------------------------------- */

struct search {
	const struct crew__explain_request *request;
	struct crew__explain *found; /* the first */
	struct crew__explain_choices *choices;
};

static void add_choice(struct search *search, const struct crew__explain *explain)
{
	struct crew__explain_choices *choices = search->choices;
	if (choices->count++ == 0)
		*search->found = *explain;
	if (choices->named >= CREW__EXPLAIN_CHOICES)
		return;
	struct crew__explain_choice *choice = &choices->choice[choices->named++];
	choice->id = explain->row.conn.id;
	choice->closed = explain->closed;
	snprintf(choice->service, sizeof(choice->service), "%s", explain->service);
	snprintf(choice->remote, sizeof(choice->remote), "%s", explain->row.conn.remote);
}

/* What is the same for all connections of a worker. */
static void begin(
	struct search *search, const struct crew__segment *segment, struct crew__explain *explain)
{
	memset(explain, 0, sizeof(*explain));
	crew__look_worker(segment, crew__clock_ns(), &explain->worker);
	memcpy(explain->service, explain->worker.service, sizeof(explain->service));
	explain->now = crew__life_hundredths(segment);
	explain->now_ms = crew__when_now();
	explain->row.conn.pid = explain->worker.pid > 0 ? (uint64_t)explain->worker.pid : 0;
	take_settings(explain, search->request->settings, segment);
}

/* What stands there may be anything, and a bool is not. */
static void make_bool(bool *value)
{
	unsigned char byte;
	memcpy(&byte, value, sizeof(byte));
	*value = byte != 0;
}

static int search_open(struct search *search, const struct crew__segment *segment)
{
	size_t count;
	struct crew__explain worker, explain;
	struct crew__conn_snapshot *records = crew__segment_connections(segment, &count);
	if (!records)
		return count ? -ENOMEM : 0;
	begin(search, segment, &worker);
	for (size_t i = 0; i < count; i++) {
		const struct crew__conn_snapshot *from = &records[i];
		if (!crew__id_has_prefix(from->hot.id, search->request->prefix))
			continue;
		explain = worker;
		crew__connection_fill(&from->hot, &from->cold, explain.now, &explain.row.conn);
		explain.has_slow = from->has_slow;
		memcpy(&explain.slow, &from->slow, sizeof(explain.slow));
		make_bool(&explain.slow.slow);
		make_bool(&explain.slow.figures.has_tcp);
		make_bool(&explain.slow.bounds.tight);
		take_bounds(&explain);
		explain.verdict = crew__connection_verdict(
			&explain.row.conn, from->has_slow ? &from->slow : NULL, &explain.worker);
		explain.row.conn.verdict = crew__verdict_or_null(explain.verdict);
		add_choice(search, &explain);
	}
	free(records);
	return 0;
}

static void take_closed(struct crew__explain *explain, const struct crew__closed *from)
{
	int64_t now_ms = crew__when_now();
	explain->closed = true;
	explain->end = from->hot.end;
	crew__closed_fill(from, &explain->row);
	explain->verdict = from->verdict < CREW_VERDICTS ? (crew_verdict)from->verdict
							 : CREW_VERDICT_NONE;
	explain->has_slow = from->figures.at != 0;
	memcpy(&explain->slow.figures, &from->figures, sizeof(from->figures));
	make_bool(&explain->slow.figures.has_tcp);
	explain->slow.episodes = from->episodes;
	explain->now = from->at;
	explain->now_ms = from->wall_ms;
	explain->ended_ago_ms = now_ms > from->wall_ms ? now_ms - from->wall_ms : 0;
}

static int search_closed(struct search *search, const struct crew__segment *segment)
{
	const struct crew__closed_ring *ring = crew__segment_closed(segment);
	struct crew__closed *entries = calloc(CREW__CLOSED, sizeof(*entries));
	struct crew__explain worker, explain;
	if (!entries)
		return -ENOMEM;
	size_t count = ring ? crew__closed_read(ring, entries, CREW__CLOSED) : 0;
	begin(search, segment, &worker);
	for (size_t i = 0; i < count; i++) {
		if (!crew__id_has_prefix(entries[i].hot.id, search->request->prefix))
			continue;
		explain = worker;
		take_closed(&explain, &entries[i]);
		add_choice(search, &explain);
	}
	free(entries);
	return 0;
}

static int search_all(struct search *search,
	int (*look)(struct search *search, const struct crew__segment *segment))
{
	const struct crew__attached *attached = search->request->attached;
	int error = 0;
	for (size_t i = 0; i < attached->segment_count && !error; i++)
		if (attached->segments[i].header)
			error = look(search, &attached->segments[i]);
	return error;
}

int crew__explain_find(const struct crew__explain_request *request,
	struct crew__explain *ret_explain, struct crew__explain_choices *ret_choices)
{
	struct search search = { .request = request, .found = ret_explain, .choices = ret_choices };
	memset(ret_choices, 0, sizeof(*ret_choices));
	if (!crew__id_prefix_valid(request->prefix))
		return -EINVAL;
	int error = search_all(&search, search_open);
	if (!error && ret_choices->count == 0)
		error = search_all(&search, search_closed);
	if (error)
		return error;
	/* The program's services are copied by value, so its name is what is pointed to. */
	ret_explain->row.conn.service = ret_explain->service;
	return ret_choices->count == 1 ? 0 : ret_choices->count ? -ENOTUNIQ : -ENOENT;
}

/* ---- what went wrong ----------------------------------------------------------------------- */

/* Does the worker live whose number the id begins with? Unknown when it is too short to tell. */
static bool worker_has_gone(const struct crew__explain_request *request)
{
	char digits[LIFE_DIGITS + 1];
	if (strlen(request->prefix) < LIFE_DIGITS)
		return false;
	snprintf(digits, sizeof(digits), "%s", request->prefix);
	unsigned long life = strtoul(digits, NULL, 16);
	for (size_t i = 0; i < request->attached->segment_count; i++) {
		const struct crew__segment *segment = &request->attached->segments[i];
		if (segment->header && segment->header->life == life)
			return false;
	}
	return true;
}

static void name_choices(const struct crew__explain_choices *choices, char *text, size_t size)
{
	size_t used = strlen(text);
	for (size_t i = 0; i < choices->named && used < size; i++) {
		const struct crew__explain_choice *choice = &choices->choice[i];
		used += (size_t)snprintf(text + used, size - used, "%s %016" PRIx64 " (%s, %s%s)",
			i ? "," : ":", choice->id, choice->service, choice->remote,
			choice->closed ? ", ended" : "");
	}
	if (choices->count > choices->named && used < size)
		snprintf(text + used, size - used, ", and %zu more",
			choices->count - choices->named);
}

void crew__explain_error(const struct crew__explain_request *request, int error,
	const struct crew__explain_choices *choices, char *text, size_t size)
{
	char prefix[CREW__NAME_MAX];
	crew__screen_clean(prefix, sizeof(prefix), request->prefix, strlen(request->prefix));
	switch (error) {
	case -EINVAL:
		snprintf(text, size,
			"'%s' is not the beginning of a connection's id, which is 16 hex digits; "
			"`connections` lists them",
			prefix);
		break;
	case -ENOENT:
		snprintf(text, size,
			"no connection's id begins with %s, neither of the open ones nor of the last "
			"that ended; %s",
			prefix,
			worker_has_gone(request)
				? "the worker that gave out such ids has gone (`events` may tell), "
				  "and its records with it"
				: "`connections` and `connections --closed` list them");
		break;
	case -ENOTUNIQ:
		snprintf(text, size, "%zu connections have an id that begins with %s",
			choices->count, prefix);
		name_choices(choices, text, size);
		break;
	default:
		snprintf(text, size, "no memory for the connections");
	}
}

/* ---- the command --------------------------------------------------------------------------- */

int crew__explain_text(
	const struct crew__explain_request *request, const struct crew__screen *screen)
{
	struct crew__explain explain;
	struct crew__explain_choices choices;
	char text[CREW__EXPLAIN_CHOICES * 192];
	int error = crew__explain_find(request, &explain, &choices);
	if (!error)
		return crew__explain_print_text(&explain, screen);
	if (error != -ENOMEM) {
		crew__explain_error(request, error, &choices, text, sizeof(text));
		crew__screen_fold(screen, 0, text);
	}
	return error;
}

/* An error goes to standard error; with --json also as a document to standard output. */
static int show(const struct crew__view *view, const struct crew__explain_request *request)
{
	struct crew__explain explain;
	struct crew__explain_choices choices;
	struct crew__screen screen;
	char text[CREW__EXPLAIN_CHOICES * 192];
	int error = crew__explain_find(request, &explain, &choices);
	if (error) {
		crew__explain_error(request, error, &choices, text, sizeof(text));
		if (view->json && error != -ENOMEM)
			crew__explain_json(request, stdout);
		fflush(stdout);
		return crew__view_complain(view, text, CREW__FAILED);
	}
	crew__screen_init(&screen, stdout);
	return crew__view_finish(view, view->json ? crew__explain_print_json(&explain, stdout)
						  : crew__explain_print_text(&explain, &screen));
}

int crew__view_explain(const struct crew__view *view)
{
	struct crew__attached attached;
	int failed = crew__view_attach(view, &attached);
	if (failed)
		return failed;
	crew__view_buffer();
	const struct crew__explain_request request = {
		.attached = &attached, .settings = view->settings, .prefix = view->argument
	};
	failed = show(view, &request);
	crew__attach_fini(&attached);
	return failed;
}
