/* answer.c - documents, errors, fields of safety. */
#include "admin/answer.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
	DIGITS_MAX = 19
};

/* ---- documents ----------------------------------------------------------------------------- */

void crew__document_open(struct crew__document *document)
{
	*document = (struct crew__document){ 0 };
	document->out = open_memstream(&document->text, &document->len);
}

int crew__document_close(struct crew__document *document, int error)
{
	if (!document->out)
		return -ENOMEM;
	if (ferror(document->out) && !error)
		error = -ENOMEM;
	if (fclose(document->out) != 0 && !error)
		error = -ENOMEM;
	document->out = NULL;
	if (error)
		crew__document_free(document);
	return error;
}

void crew__document_free(struct crew__document *document)
{
	if (document->out)
		fclose(document->out);
	free(document->text);
	*document = (struct crew__document){ 0 };
}

/* ---- answers ------------------------------------------------------------------------------- */

/* Without memory for a field the answer fails too. */
bool crew__answer_before(crew_conn *c, const crew_request *request)
{
	(void)request;
	(void)crew_reply_header(c, "X-Content-Type-Options", CREW_BYTES("nosniff"));
	(void)crew_reply_header(c, "X-Frame-Options", CREW_BYTES("DENY"));
	(void)crew_reply_header(c, "Referrer-Policy", CREW_BYTES("no-referrer"));
	(void)crew_reply_header(c, "Cross-Origin-Resource-Policy", CREW_BYTES("same-origin"));
	return true;
}

void crew__answer(crew_conn *c, int status, const char *type, crew_bytes body)
{
	const crew_header store = { CREW_BYTES("Cache-Control"), CREW_BYTES("no-store") };
	const crew_response response = {
		.status = status,
		.type = type,
		.headers = &store,
		.header_count = 1,
		.body = body,
	};
	crew_reply(c, &response);
}

void crew__answer_document(
	crew_conn *c, int status, const char *type, struct crew__document *take_document, int error)
{
	if (crew__document_close(take_document, error)) {
		crew__answer_problem(c, 503, "no memory for the answer");
		return;
	}
	crew__answer(c, status, type, (crew_bytes){ take_document->text, take_document->len });
	crew__document_free(take_document);
}

void crew__answer_problem(crew_conn *c, int status, const char *text)
{
	json_t *json = json_pack("{s:s}", "error", text);
	char *dumped = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	crew__answer(c, status, CREW__ANSWER_JSON,
		dumped ? crew_str(dumped) : CREW_BYTES("{\"error\":\"no memory\"}"));
	free(dumped);
}

/* ---- the query ----------------------------------------------------------------------------- */

static bool parse(crew_bytes text, uint64_t *ret_number)
{
	uint64_t number = 0;
	if (text.len == 0 || text.len > DIGITS_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(text.data[i] - '0');
	}
	*ret_number = number;
	return true;
}

bool crew__answer_number(crew_conn *c, const crew_request *request, const char *name,
	uint64_t fallback, uint64_t most, uint64_t *ret_number)
{
	crew_bytes text = crew_request_query(request, name);
	char problem[128];
	*ret_number = fallback;
	if (!text.data || (parse(text, ret_number) && *ret_number <= most))
		return true;
	snprintf(problem, sizeof(problem), "%s must be a number up to %" PRIu64, name, most);
	crew__answer_problem(c, 400, problem);
	return false;
}
