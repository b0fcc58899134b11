/* orders.c - POST: end connections, change a setting; for who shows the token.
 *
 * The master hands a kick on to the workers. Whether it came about is read from the records again,
 * by a timer and not by waiting: the answer is given later. */
#include "admin/parts.h"

#include "admin/actions.h"
#include "base/clock.h"
#include "proc/order.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
	LOOK_MS = 50, /* how often a kick is looked after */
	GIVE_UP_MS = 2000,
	NAMED_MOST = 1000, /* ids in an answer */
};

bool crew__admin_permit(crew_conn *c, const crew_request *request)
{
	const char *token = crew__admin_sight()->settings->admin_token;
	if (!token) {
		crew__answer_problem(c, 403,
			"nobody may act here: set [crew] admin_token, and show it as "
			"\"Authorization: Bearer TOKEN\"");
		return false;
	}
	if (crew__token_shown(crew_request_header(request, "Authorization"), token))
		return true;
	(void)crew_reply_header(c, "WWW-Authenticate", CREW_BYTES("Bearer"));
	crew__answer_problem(c, 401, "show the token: \"Authorization: Bearer TOKEN\"");
	return false;
}

/* ---- bodies -------------------------------------------------------------------------------- */

static json_t *read_object(crew_conn *c, const crew_request *request)
{
	json_t *json = json_loadb(
		request->body.data, request->body.len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(json))
		return json;
	json_decref(json);
	crew__answer_problem(c, 400, "the body must be a JSON object");
	return NULL;
}

/* Refused by the master, whose sentence says why: mostly the request's own fault. */
static int status_of(int error)
{
	return error == -EINVAL || error == -EACCES ? 400 : 503;
}

/* ---- set ----------------------------------------------------------------------------------- */

static void set(crew_conn *c, const char *text)
{
	const struct crew__settings *settings = crew__admin_sight()->settings;
	struct crew__handed_on handed_on;
	char problem[CREW__SIGHT_ERROR_MAX] = "";
	int error = crew__order_set(
		settings->run_dir, settings->name, text, &handed_on, problem, sizeof(problem));
	if (error) {
		crew__answer_problem(c, status_of(error), problem);
		return;
	}
	struct crew__document document;
	crew__document_open(&document);
	json_t *json = json_pack("{s:s, s:I, s:I}", "set", text, "told", (json_int_t)handed_on.told,
		"late", (json_int_t)handed_on.late);
	if (document.out && json)
		error = json_dumpf(json, document.out, JSON_COMPACT);
	crew__answer_document(c, 200, CREW__ANSWER_JSON, &document, json ? error : -ENOMEM);
	json_decref(json);
}

void crew__admin_set(crew_conn *c, const crew_request *request)
{
	json_t *object = read_object(c, request);
	if (!object)
		return;
	const char *text = json_string_value(json_object_get(object, "set"));
	if (text)
		set(c, text);
	else
		crew__answer_problem(c, 400, "say what: {\"set\": \"SERVICE.KEY=VALUE\"}");
	json_decref(object);
}

/* ---- kick ---------------------------------------------------------------------------------- */

/* A kick that was ordered and is looked after. */
struct kick {
	struct kick *next;
	uint64_t asked_by; /* the connection that waits for the answer */
	uint64_t began_ns;
	struct crew__kick_list list, left;
};

static struct kick *kicks; /* that are looked after */

static void end(struct kick *kick)
{
	struct kick **at = &kicks;
	while (*at != kick)
		at = &(*at)->next;
	*at = kick->next;
	free(kick->list.ids);
	free(kick->left.ids);
	free(kick);
}

static void put_ids(FILE *out, const char *key, const struct crew__kick_list *list)
{
	size_t count = crew__min(list->count, NAMED_MOST);
	fprintf(out, ",\"%s\":[", key);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s\"%016" PRIx64 "\"", i ? "," : "", list->ids[i]);
	fputc(']', out);
}

static void tell(struct kick *kick)
{
	crew_conn *c = crew_find(kick->asked_by);
	struct crew__document document;
	if (!c)
		return;
	crew__document_open(&document);
	if (document.out) {
		fprintf(document.out, "{\"kicked\":%zu", kick->list.count - kick->left.count);
		put_ids(document.out, "ids", &kick->list);
		put_ids(document.out, "left", &kick->left);
		fputs("}\n", document.out);
	}
	/* 504: who is left has a worker that does not turn. */
	crew__answer_document(c, kick->left.count ? 504 : 200, CREW__ANSWER_JSON, &document, 0);
}

static void look_after(crew_worker *w, void *arg)
{
	struct kick *kick = arg;
	struct crew__sight *sight = crew__admin_sight();
	struct crew__kick_list left;
	uint64_t now_ns = crew__clock_ns();
	bool late = now_ns - kick->began_ns > GIVE_UP_MS * CREW__NS_PER_MS;
	/* Only what was read since says anything. */
	if (crew__sight_connections(sight) == 0 && sight->connections_ns > kick->began_ns &&
		crew__kick_left(&kick->list, &sight->connections, &left) == 0) {
		free(kick->left.ids);
		kick->left = left;
	}
	bool again = kick->left.count > 0 && !late;
	if (again && crew_timer_after(w, LOOK_MS, look_after, kick) > 0)
		return;
	tell(kick);
	end(kick);
}

/* Everybody counts as left until it was seen otherwise. */
static struct kick *begin(crew_conn *c, struct crew__kick_list *take_list)
{
	size_t count = take_list->count;
	struct kick *kick = calloc(1, sizeof(*kick));
	if (kick)
		kick->left.ids = calloc(count + 1, sizeof(*kick->left.ids));
	if (!kick || !kick->left.ids) {
		free(kick);
		free(take_list->ids);
		return NULL;
	}
	memcpy(kick->left.ids, take_list->ids, count * sizeof(*kick->left.ids));
	kick->left.count = count;
	kick->list = *take_list;
	kick->asked_by = crew_id(c);
	kick->began_ns = crew__clock_ns();
	kick->next = kicks;
	kicks = kick;
	return kick;
}

static void order(crew_conn *c, struct crew__kick_list *take_list)
{
	const struct crew__settings *settings = crew__admin_sight()->settings;
	struct crew__handed_on handed_on;
	char problem[CREW__SIGHT_ERROR_MAX] = "";
	struct kick *kick = begin(c, take_list);
	if (!kick) {
		crew__answer_problem(c, 503, "no memory for the kick");
		return;
	}
	crew_worker *w = crew_worker_of(c);
	int error = crew__order_kick(settings->run_dir, settings->name, kick->list.ids,
		kick->list.count, &handed_on, problem, sizeof(problem));
	if (error)
		crew__answer_problem(c, status_of(error), problem);
	if (error || crew_timer_after(w, LOOK_MS, look_after, kick) <= 0) {
		if (!error)
			crew__answer_problem(c, 503, "no memory to look after the kick");
		end(kick);
	}
}

static void kick(crew_conn *c, const char *id, const char *verdict)
{
	struct crew__sight *sight = crew__admin_sight();
	struct crew__kick_list list;
	if (!crew__admin_look(c, true))
		return;
	if (crew__kick_choose(&sight->connections, id, verdict, &list)) {
		crew__answer_problem(c, 503, "no memory for the kick");
		return;
	}
	if ((id && list.count == 1) || (!id && list.count > 0)) {
		order(c, &list);
		return;
	}
	crew__answer_problem(c, list.count ? 409 : 404,
		list.count ? "several connections have ids that begin so"
		: id       ? "no connection has that id"
			   : "no connection has that verdict");
	free(list.ids);
}

static bool is_verdict(const char *name)
{
	for (crew_verdict i = CREW_VERDICT_NONE + 1; i < CREW_VERDICTS; i++)
		if (strcmp(crew_verdict_name(i), name) == 0)
			return true;
	return false;
}

void crew__admin_kick(crew_conn *c, const crew_request *request)
{
	json_t *object = read_object(c, request);
	if (!object)
		return;
	const char *id = json_string_value(json_object_get(object, "id"));
	const char *verdict = json_string_value(json_object_get(object, "verdict"));
	if (!id == !verdict)
		crew__answer_problem(
			c, 400, "say whom: {\"id\": \"...\"} or {\"verdict\": \"...\"}");
	else if (id && !crew__id_prefix_valid(id))
		crew__answer_problem(c, 400, "an id is 1 to 16 hex digits");
	else if (verdict && !is_verdict(verdict))
		crew__answer_problem(c, 400, "there is no such verdict");
	else
		kick(c, id, verdict);
	json_decref(object);
}

/* Timers end with the worker, and nobody is told any more. */
void crew__admin_orders_stop(void)
{
	while (kicks)
		end(kicks);
}
