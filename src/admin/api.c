/* api.c - what programs ask: the JSON of the commands, over HTTP. */
#include "admin/parts.h"

#include "admin/recent.h"
#include "cli/closed.h"
#include "cli/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	LIMIT = 1000, /* of connections, unless the query says otherwise */
	LIMIT_MOST = 20000,
	KEY_MAX = 32,
};

void crew__admin_status(crew_conn *c, const crew_request *request)
{
	struct crew__document document;
	(void)request;
	if (!crew__admin_look(c, false))
		return;
	crew__document_open(&document);
	int error = document.out
			    ? crew__status_json(crew__admin_sight()->status, true, document.out)
			    : -ENOMEM;
	crew__answer_document(c, 200, CREW__ANSWER_JSON, &document, error);
}

/* ---- connections --------------------------------------------------------------------------- */

/* What of all connections is asked for. */
struct question {
	bool closed;
	bool slowest;
	const struct crew__connection_field *sort; /* NULL: as found */
	size_t limit;
};

static bool read_sort(crew_conn *c, const crew_request *request, struct question *question)
{
	crew_bytes text = crew_request_query(request, "sort");
	char key[KEY_MAX], problem[128];
	const char *nearest = NULL;
	if (!text.data)
		return true;
	if (text.len < sizeof(key)) {
		memcpy(key, text.data, text.len);
		key[text.len] = '\0';
		question->sort = crew__connection_field_find(key, &nearest);
	}
	if (question->sort)
		return true;
	snprintf(problem, sizeof(problem), "connections cannot be sorted by that%s%s%s",
		nearest ? "; did you mean " : "; the keys are those of each connection",
		nearest ? nearest : "", nearest ? "?" : "");
	crew__answer_problem(c, 400, problem);
	return false;
}

static bool read_question(crew_conn *c, const crew_request *request, struct question *ret_question)
{
	uint64_t closed, slowest, limit;
	*ret_question = (struct question){ 0 };
	if (!crew__answer_number(c, request, "closed", 0, 1, &closed) ||
		!crew__answer_number(c, request, "slowest", 0, LIMIT_MOST, &slowest) ||
		!crew__answer_number(c, request, "limit", LIMIT, LIMIT_MOST, &limit))
		return false;
	ret_question->closed = closed == 1;
	ret_question->slowest = slowest > 0;
	ret_question->limit = slowest > 0 ? crew__min(slowest, limit) : limit;
	return read_sort(c, request, ret_question);
}

/* An array cannot say that it is not all: the fields of the answer do. */
static void tell_truncated(crew_conn *c, size_t all, size_t shown)
{
	char text[24];
	snprintf(text, sizeof(text), "%zu", all);
	(void)crew_reply_header(c, "X-Total-Count", crew_str(text));
	if (shown < all)
		(void)crew_reply_header(c, "X-Truncated", CREW_BYTES("true"));
}

static void answer_open(crew_conn *c, const struct question *question)
{
	struct crew__connections some;
	struct crew__document document;
	int error = crew__sight_pick(crew__admin_sight(), &some);
	if (error) {
		crew__answer_problem(c, 503, "no memory for the connections");
		return;
	}
	size_t all = some.count;
	if (question->slowest)
		crew__connections_slowest(&some, question->limit);
	else if (question->sort)
		crew__connections_sort(&some, question->sort);
	some.count = crew__min(all, question->limit);
	tell_truncated(c, all, some.count);
	crew__document_open(&document);
	error = document.out ? crew__connections_json(&some, document.out) : -ENOMEM;
	crew__sight_put_back(&some);
	crew__answer_document(c, 200, CREW__ANSWER_JSON, &document, error);
}

static void answer_closed(crew_conn *c, const struct question *question)
{
	struct crew__closed_list list;
	struct crew__document document;
	if (crew__closed_new(&crew__admin_sight()->attached, &list)) {
		crew__answer_problem(c, 503, "no memory for the connections");
		return;
	}
	if (question->sort)
		crew__closed_sort(&list, question->sort);
	size_t all = list.count;
	list.count = crew__min(all, question->limit);
	tell_truncated(c, all, list.count);
	crew__document_open(&document);
	int error = document.out ? crew__closed_list_json(&list, document.out) : -ENOMEM;
	crew__closed_fini(&list);
	crew__answer_document(c, 200, CREW__ANSWER_JSON, &document, error);
}

void crew__admin_connections(crew_conn *c, const crew_request *request)
{
	struct question question;
	if (!read_question(c, request, &question) || !crew__admin_look(c, !question.closed))
		return;
	if (question.closed)
		answer_closed(c, &question);
	else
		answer_open(c, &question);
}

/* ---- one connection ------------------------------------------------------------------------ */

static int explain_status(int error)
{
	switch (error) {
	case 0:
		return 200;
	case -EINVAL:
		return 400;
	case -ENOENT:
		return 404;
	case -ENOTUNIQ:
		return 409;
	default:
		return 503;
	}
}

/* What cannot be explained is said in JSON too. */
static void explain(crew_conn *c, const char *prefix)
{
	const struct crew__sight *sight = crew__admin_sight();
	const struct crew__explain_request request = {
		.attached = &sight->attached, .settings = sight->settings, .prefix = prefix
	};
	struct crew__document document;
	crew__document_open(&document);
	int error = document.out ? crew__explain_json(&request, document.out) : -ENOMEM;
	crew__answer_document(c, explain_status(error), CREW__ANSWER_JSON, &document,
		error == -ENOMEM ? error : 0);
}

void crew__admin_explain(crew_conn *c, const crew_request *request)
{
	crew_bytes id = crew_request_query(request, "id");
	char prefix[KEY_MAX] = "";
	if (id.len == 0 || id.len >= sizeof(prefix)) {
		crew__answer_problem(c, 400, "say which: ?id= and 1 to 16 hex digits");
		return;
	}
	memcpy(prefix, id.data, id.len);
	if (crew__admin_look(c, false))
		explain(c, prefix);
}

/* ---- events -------------------------------------------------------------------------------- */

static void answer_events(crew_conn *c, uint64_t after, size_t limit)
{
	struct crew__event_reader reader = { 0 };
	struct crew__event_rows rows;
	struct crew__document document;
	int error = crew__event_reader_take(&reader, &crew__admin_sight()->attached, &rows);
	crew__event_reader_fini(&reader);
	if (error) {
		crew__answer_problem(c, 503, "no memory for the events");
		return;
	}
	crew__events_cut(&rows, after, SIZE_MAX);
	size_t all = rows.count;
	crew__events_cut(&rows, after, limit);
	tell_truncated(c, all, rows.count);
	crew__document_open(&document);
	error = document.out ? crew__event_rows_json(&rows, false, document.out) : -ENOMEM;
	crew__event_rows_fini(&rows);
	crew__answer_document(c, 200, CREW__ANSWER_JSON, &document, error);
}

void crew__admin_events(crew_conn *c, const crew_request *request)
{
	uint64_t after, limit;
	if (crew__answer_number(c, request, "after", 0, INT64_MAX, &after) &&
		crew__answer_number(c, request, "limit", LIMIT, LIMIT_MOST, &limit) &&
		crew__admin_look(c, false))
		answer_events(c, after, limit);
}
