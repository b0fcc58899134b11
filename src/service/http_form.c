/* http_form.c - queries, cookies and forms, worked out when they are first asked for.
 *
 * Not here: forms of parts and their files (http_parts.c, http_upload.c). What cannot be worked
 * out, for want of memory or because it has too many pairs, counts as not there at all: half a form
 * would be worse. */
#include "service/http.h"

#include "web/cookie.h"
#include "web/field_params.h"
#include "web/form.h"

static crew_bytes first_of(const crew_header *items, size_t count, const char *name)
{
	crew_bytes wanted = crew_str(name);
	for (size_t i = 0; i < count; i++) {
		crew_bytes found = items[i].name;
		if (found.len == wanted.len &&
			(found.len == 0 || memcmp(found.data, wanted.data, found.len) == 0))
			return items[i].value;
	}
	return (crew_bytes){ NULL, 0 };
}

static const crew_header *give(const struct crew__pairs *pairs, size_t *ret_count)
{
	*ret_count = pairs ? pairs->count : 0;
	return pairs ? pairs->items : NULL;
}

static struct crew__pairs *read_into(
	struct crew__pairs *pairs, struct crew__request_side *side, crew_bytes text)
{
	if (crew__form_read(text, &side->arena, &pairs->items, &pairs->count) < 0)
		pairs->count = 0;
	pairs->known = true;
	return pairs;
}

/* ---- queries -------------------------------------------------------------------------------- */

static const struct crew__pairs *queries_of(const crew_request *request)
{
	struct crew__request_side *side = crew__request_side(request);
	if (!side)
		return NULL;
	return side->queries.known ? &side->queries
				   : read_into(&side->queries, side, request->query);
}

crew_bytes crew_request_query(const crew_request *request, const char *name)
{
	size_t count;
	const crew_header *items = give(queries_of(request), &count);
	return first_of(items, count, name);
}

const crew_header *crew_request_queries(const crew_request *request, size_t *ret_count)
{
	return give(queries_of(request), ret_count);
}

/* ---- forms ---------------------------------------------------------------------------------- */

static bool is_form(const crew_request *request)
{
	struct crew__field_params params;
	crew_bytes type = crew_request_header(request, "content-type");
	return crew__http_same(crew__field_params_begin(&params, type),
		CREW_BYTES("application/x-www-form-urlencoded"));
}

/* Those of a form of parts are known since its end. */
static const struct crew__pairs *forms_of(const crew_request *request)
{
	struct crew__request_side *side = crew__request_side(request);
	if (!side)
		return NULL;
	if (side->forms.known)
		return &side->forms;
	return read_into(
		&side->forms, side, is_form(request) ? request->body : (crew_bytes){ NULL, 0 });
}

crew_bytes crew_request_form(const crew_request *request, const char *name)
{
	size_t count;
	const crew_header *items = give(forms_of(request), &count);
	return first_of(items, count, name);
}

const crew_header *crew_request_forms(const crew_request *request, size_t *ret_count)
{
	return give(forms_of(request), ret_count);
}

/* ---- cookies -------------------------------------------------------------------------------- */

/* A client sends one Cookie field, but what stands between may have split it. */
static const struct crew__pairs *cookies_of(const crew_request *request)
{
	struct crew__request_side *side = crew__request_side(request);
	if (!side)
		return NULL;
	struct crew__pairs *cookies = &side->cookies;
	crew_header *items = NULL;
	size_t capacity = 0;
	if (cookies->known)
		return cookies;
	for (size_t i = 0; i < request->header_count; i++) {
		const crew_header *field = &request->headers[i];
		if (!crew__http_same(field->name, CREW_BYTES("cookie")))
			continue;
		if (crew__cookie_read(
			    field->value, &side->arena, &items, &cookies->count, &capacity) < 0) {
			cookies->count = 0;
			break;
		}
	}
	cookies->items = items;
	cookies->known = true;
	return cookies;
}

crew_bytes crew_request_cookie(const crew_request *request, const char *name)
{
	size_t count;
	const crew_header *items = give(cookies_of(request), &count);
	return first_of(items, count, name);
}

int crew_reply_cookie(crew_conn *c, const crew_cookie *cookie)
{
	char text[CREW__COOKIE_TEXT_MOST];
	int len = cookie ? crew__cookie_write(cookie, text, sizeof(text)) : -EINVAL;
	return len < 0 ? len
		       : crew_reply_header(c, "Set-Cookie", (crew_bytes){ text, (size_t)len });
}
