/* http_cors.c - cross-origin requests: the fields of answers, and preflights
 * (https://fetch.spec.whatwg.org/#http-cors-protocol). */
#include "service/http_route.h"

#include "web/cors.h"

#include <stdio.h>

enum {
	REMEMBER_S = 600 /* when the program does not say */
};

/* Where there is no room for a field the browser refuses the answer: that is the safe side. */
static void add(struct crew__exchange *e, const char *name, crew_bytes value)
{
	(void)crew_reply_header(e->conn, name, value);
}

crew_bytes crew__cors_asked(const crew_request *request)
{
	bool options = request->method.len == 7 && memcmp(request->method.data, "OPTIONS", 7) == 0;
	if (!options || !crew_request_header(request, "Origin").data)
		return (crew_bytes){ NULL, 0 };
	crew_bytes method = crew_request_header(request, "Access-Control-Request-Method");
	return crew__http_token(method) ? method : (crew_bytes){ NULL, 0 };
}

/* Who may not ask gets no more than the word for caches, that the answer depends on who asks. */
void crew__cors_note(struct crew__exchange *e, const crew_request *request, const crew_cors *cors)
{
	crew_bytes allowed = crew__cors_allowed(cors, crew_request_header(request, "Origin"));
	bool anybody = allowed.len == 1 && *allowed.data == '*';
	if (!anybody)
		add(e, "Vary", CREW_BYTES("Origin"));
	if (!allowed.data)
		return;
	add(e, "Access-Control-Allow-Origin", allowed);
	if (cors->credentials)
		add(e, "Access-Control-Allow-Credentials", CREW_BYTES("true"));
	if (cors->expose)
		add(e, "Access-Control-Expose-Headers", crew_str(cors->expose));
}

static void say_what_may_be_sent(
	struct crew__exchange *e, const crew_cors *cors, crew_bytes methods)
{
	char seconds[24];
	int64_t remember = cors->max_age_s ? cors->max_age_s : REMEMBER_S;
	int n = snprintf(seconds, sizeof(seconds), "%lld", (long long)remember);
	add(e, "Access-Control-Allow-Methods", methods);
	if (cors->headers)
		add(e, "Access-Control-Allow-Headers", crew_str(cors->headers));
	add(e, "Access-Control-Max-Age", (crew_bytes){ seconds, (size_t)n });
}

void crew__cors_preflight(struct crew__exchange *e, const crew_request *request,
	const crew_cors *cors, crew_bytes methods)
{
	const crew_header allow = { CREW_BYTES("Allow"), methods };
	if (crew__cors_allowed(cors, crew_request_header(request, "Origin")).data)
		say_what_may_be_sent(e, cors, methods);
	crew__answer_own(
		e, &(crew_response){ .status = 204, .headers = &allow, .header_count = 1 });
}
