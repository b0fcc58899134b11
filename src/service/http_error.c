/* http_error.c - error pages and redirections, the program's and crew's own.
 *
 * A page is JSON for who would rather have that than HTML (RFC 9110 section 12.5.1), HTML
 * otherwise, and plain text where nobody knows who asks. */
#include "service/http_route.h"

#include "base/utf8.h"
#include "web/accept.h"

#include <jansson.h>
#include <stdio.h>

enum {
	DETAIL_MOST = 1024, /* of what the program says; the rest is cut off */
	PAGE_MOST = 8 * 1024
};

struct page {
	crew_header fields[2];
	crew_response response;
	char detail[DETAIL_MOST + 1];
	char escaped[DETAIL_MOST * 6 + 1];
	char text[PAGE_MOST];
};

static const char frame[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
	"<title>%d %s</title>\n<style>"
	":root{color-scheme:light dark}"
	"body{margin:0;min-height:100vh;display:grid;place-items:center;"
	"font:1.1rem/1.5 system-ui,sans-serif;background:Canvas;color:CanvasText}"
	"main{padding:2rem;max-width:34rem}"
	"h1{margin:0;font-size:4rem;line-height:1;font-weight:200;opacity:.6}"
	"h2{margin:.5rem 0 1rem;font-weight:600}p{margin:0;overflow-wrap:anywhere}"
	"</style></head>\n<body><main><h1>%d</h1><h2>%s</h2>%s%s%s</main></body></html>\n";

/* ---- the reader's sentence ----------------------------------------------------------------- */

/* How long the character at `text` is; 0: it is none. */
static size_t character(const char *text)
{
	for (size_t len = 1; len <= 4 && (len == 1 || text[len - 1]); len++)
		if (crew__utf8_valid((crew_bytes){ text, len }))
			return len;
	return 0;
}

/* Good UTF-8 without control characters, as it may be put together from what a peer sent. */
static void copy_detail(struct page *page, const char *detail)
{
	size_t used = 0;
	while (detail && *detail) {
		size_t len = character(detail);
		bool good = len > 0 && (unsigned char)*detail >= ' ' && *detail != 0x7f;
		if (used + crew__max(len, 1) > DETAIL_MOST)
			break;
		if (good)
			memcpy(page->detail + used, detail, len);
		else
			page->detail[used] = len > 0 ? ' ' : '?';
		used += good ? len : 1;
		detail += crew__max(len, 1);
	}
	page->detail[used] = '\0';
}

static const char *entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

static void escape(struct page *page)
{
	char *to = page->escaped;
	for (const char *at = page->detail; *at; at++) {
		const char *word = entity(*at);
		if (word)
			to = stpcpy(to, word);
		else
			*to++ = *at;
	}
	*to = '\0';
}

/* ---- the page ------------------------------------------------------------------------------ */

static int write_plain(struct page *page, int status, const char *phrase)
{
	bool more = page->detail[0] != '\0';
	page->response.type = NULL;
	return snprintf(page->text, sizeof(page->text), "%d %s\n%s%s", status, phrase, page->detail,
		more ? "\n" : "");
}

static int write_html(struct page *page, int status, const char *phrase)
{
	bool more = page->detail[0] != '\0';
	escape(page);
	page->response.type = "text/html; charset=utf-8";
	return snprintf(page->text, sizeof(page->text), frame, status, phrase, status, phrase,
		more ? "<p>" : "", page->escaped, more ? "</p>" : "");
}

static int write_json(struct page *page, int status, const char *phrase)
{
	json_t *json = json_pack("{s:i, s:s}", "status", status, "error", phrase);
	if (json && page->detail[0] != '\0' &&
		json_object_set_new(json, "detail", json_string(page->detail)) < 0) {
		json_decref(json);
		json = NULL;
	}
	size_t n = json ? json_dumpb(json, page->text, sizeof(page->text), JSON_COMPACT) : 0;
	json_decref(json);
	if (n == 0 || n > sizeof(page->text)) /* no memory */
		return write_plain(page, status, phrase);
	page->response.type = "application/json";
	return (int)n;
}

static bool wants_json(const crew_request *request)
{
	return crew__accept_prefers(
		request->headers, request->header_count, "application/json", "text/html");
}

static void make_page(
	struct page *page, const crew_request *request, int status, const char *detail)
{
	const char *phrase = crew__http_phrase(status);
	int n;
	copy_detail(page, detail);
	page->fields[0] = (crew_header){ CREW_BYTES("Cache-Control"), CREW_BYTES("no-store") };
	page->response = (crew_response){
		.status = status,
		.headers = page->fields,
		.header_count = 1,
	};
	if (!request)
		n = write_plain(page, status, phrase);
	else if (wants_json(request))
		n = write_json(page, status, phrase);
	else
		n = write_html(page, status, phrase);
	crew__must(n > 0 && (size_t)n < sizeof(page->text));
	page->response.body = (crew_bytes){ page->text, (size_t)n };
}

static int64_t invalid(crew_conn *c)
{
	if (!c)
		return -ENOTCONN;
	crew__net_count_invalid(c->net);
	return -EINVAL;
}

int64_t crew_reply_error(crew_conn *c, const crew_request *request, int status, const char *detail)
{
	struct page page;
	if (status < 400 || status > 599)
		return invalid(c);
	make_page(&page, request, status, detail);
	return crew_reply(c, &page.response);
}

/* ---- redirections -------------------------------------------------------------------------- */

/* RFC 3986 section 2: unreserved, reserved, or the sign of an escape. */
static bool is_uri(const char *text)
{
	static const char marks[] = "-._~:/?#[]@!$&'()*+,;=%";
	for (; *text; text++) {
		char lower = (char)(*text | 0x20);
		bool plain = (lower >= 'a' && lower <= 'z') || (*text >= '0' && *text <= '9');
		if (!plain && !strchr(marks, *text))
			return false;
	}
	return true;
}

int64_t crew_reply_redirect(crew_conn *c, int status, const char *location)
{
	if (status == 0)
		status = 303;
	if (status < 300 || status > 399 || status == 304 || !location || !is_uri(location))
		return invalid(c);
	const crew_header field = { CREW_BYTES("Location"), crew_str(location) };
	return crew_reply(
		c, &(crew_response){ .status = status, .headers = &field, .header_count = 1 });
}

/* ---- crew's own ---------------------------------------------------------------------------- */

void crew__answer_own(struct crew__exchange *e, const crew_response *response)
{
	crew_conn *c = e->conn;
	char room[CREW__RESPONSE_HEAD_MOST + CREW__ANSWER_FIELDS_MOST + PAGE_MOST];
	size_t body = response->body.len;
	int head = crew__answer_head(e, response, (int64_t)body, room, sizeof(room) - PAGE_MOST);
	crew__must(body <= PAGE_MOST);
	if (head < 0) { /* the program's fields are too long */
		crew__http_refuse(c, response->status, CREW_END_APP);
		return;
	}
	if (e->framing == CREW__FRAMING_NONE)
		body = 0;
	if (body > 0)
		memcpy(room + head, response->body.data, body);
	e->body_out = body;
	if (crew__conn_control(c, (crew_bytes){ room, (size_t)head + body }) == -ENOMEM)
		crew__conn_broken(c, CREW_END_MEMORY);
	else
		crew__exchange_answered(c, response->close, CREW_END_APP);
}

void crew__answer_error(struct crew__exchange *e, const crew_request *request, int status,
	const char *detail, crew_bytes allow)
{
	struct page page;
	make_page(&page, request, status, detail);
	if (allow.len > 0)
		page.fields[page.response.header_count++] = (crew_header){ CREW_BYTES("Allow"),
			allow };
	crew__answer_own(e, &page.response);
}
