/* ws_reply.c - the answer to a client's WebSocket handshake: read when it is whole, once.
 *
 * Strict as the parser of requests (proto/http1_head.c): a bare line feed, a folded line, an empty
 * name, a blank before the colon are no answer. */
#include "web/ws_client.h"

#include "base/complaint.h"
#include "proto/http1.h"
#include "proto/ws.h"

#include <stdio.h>

/* What the fields say. */
struct said {
	unsigned upgrades, accepts, protocols;
	bool connection_upgrades, has_body;
	crew_bytes upgrade, accept, protocol, location;
};

struct reading {
	struct said said;
	size_t count;
	crew_header fields[CREW__WS_REPLY_FIELDS];
};

/* ---- lines --------------------------------------------------------------------------------- */

/* "HTTP/1.1 101 ..." without its end. Another minor version may stand before another status. */
static int read_status(crew_bytes line, int *ret_status, const struct crew__complaint *complaint)
{
	const char *at = line.data;
	bool good = line.len >= 12 && memcmp(at, "HTTP/1.", 7) == 0 && at[7] >= '0' &&
		    at[7] <= '9' && at[8] == ' ' && (line.len == 12 || at[12] == ' ');
	int status = 0;
	for (int i = 9; good && i < 12; i++) {
		good = at[i] >= '0' && at[i] <= '9';
		status = status * 10 + (at[i] - '0');
	}
	if (!good || status < 100 || !crew__http_field_value(line))
		return crew__complain(complaint, -EPROTO, "the server does not answer in HTTP/1.1");
	*ret_status = status;
	if (status == 101 && at[7] != '1')
		return crew__complain(complaint, -EPROTO,
			"the server answers 101 in HTTP/1.%c, which has no "
			"upgrades",
			at[7]);
	return 0;
}

static bool has_element(crew_bytes list, const char *word)
{
	crew_bytes element;
	while (crew__http_element(&list, &element))
		if (crew__http_same_word(element, word))
			return true;
	return false;
}

static void take_field(struct said *r, const crew_header *h)
{
	if (crew__http_same_word(h->name, "Upgrade")) {
		r->upgrades++;
		r->upgrade = h->value;
	} else if (crew__http_same_word(h->name, "Connection")) {
		r->connection_upgrades |= has_element(h->value, "upgrade");
	} else if (crew__http_same_word(h->name, "Sec-WebSocket-Accept")) {
		r->accepts++;
		r->accept = h->value;
	} else if (crew__http_same_word(h->name, "Sec-WebSocket-Protocol")) {
		r->protocols++;
		r->protocol = h->value;
	} else if (crew__http_same_word(h->name, "Location")) {
		r->location = h->value;
	} else if (crew__http_same_word(h->name, "Transfer-Encoding")) {
		r->has_body = true;
	} else if (crew__http_same_word(h->name, "Content-Length")) {
		r->has_body |= h->value.len != 1 || h->value.data[0] != '0';
	}
}

static int read_field(struct reading *r, crew_bytes line, const struct crew__complaint *complaint)
{
	const char *colon = line.len > 0 ? memchr(line.data, ':', line.len) : NULL;
	crew_header h = { .name = { line.data, colon ? (size_t)(colon - line.data) : 0 } };
	if (!colon || !crew__http_token(h.name))
		return crew__complain(
			complaint, -EPROTO, "the server's answer has a line that is no field");
	h.value = crew__http_trim((crew_bytes){ colon + 1, line.len - h.name.len - 1 });
	if (!crew__http_field_value(h.value))
		return crew__complain(complaint, -EPROTO,
			"the server's answer has a field with a control character");
	if (r->count == CREW__WS_REPLY_FIELDS)
		return crew__complain(complaint, -EPROTO,
			"the server's answer has more than %d fields", CREW__WS_REPLY_FIELDS);
	r->fields[r->count++] = h;
	take_field(&r->said, &h);
	return 0;
}

/* Up to the next CR LF, which is taken away too. */
static crew_bytes next_line(crew_bytes *rest)
{
	const char *end = memmem(rest->data, rest->len, "\r\n", 2);
	crew_bytes line = { rest->data, (size_t)(end - rest->data) };
	*rest = (crew_bytes){ end + 2, rest->len - line.len - 2 };
	return line;
}

/* `head` ends with an empty line. */
static int read_head(struct reading *r, crew_bytes head, struct crew__ws_reply *ret_reply,
	const struct crew__complaint *complaint)
{
	int error = read_status(next_line(&head), &ret_reply->status, complaint);
	for (crew_bytes line = next_line(&head); !error && line.len > 0; line = next_line(&head))
		error = read_field(r, line, complaint);
	return error;
}

/* ---- is it the answer to what we asked? ---------------------------------------------------- */

static int refuse_status(const struct said *r, int status, const struct crew__complaint *complaint)
{
	const char *phrase = crew__http_phrase(status);
	if (status >= 300 && status < 400 && r->location.len > 0)
		return crew__complain(complaint, -EPROTO,
			"the server answers %d (%s) and sends us to %.*s; this is not followed: "
			"connect there",
			status, phrase, (int)crew__min(r->location.len, 200), r->location.data);
	if (status == 401 || status == 403)
		return crew__complain(complaint, -EPROTO,
			"the server answers %d (%s): it wants to know who we are (headers)", status,
			phrase);
	return crew__complain(
		complaint, -EPROTO, "the server answers %d (%s) instead of 101", status, phrase);
}

/* One of ours, told as it stands in our list. Sub-protocols' names have case (RFC 6455 11.3.4). */
static bool find_protocol(const char *ours, crew_bytes name, crew_bytes *ret_protocol)
{
	const char *at = ours ? ours : "";
	while (*(at += strspn(at, " "))) {
		size_t len = strcspn(at, " ");
		if (len == name.len && memcmp(at, name.data, len) == 0) {
			*ret_protocol = (crew_bytes){ at, len };
			return true;
		}
		at += len;
	}
	return false;
}

static int check_protocol(const struct crew__ws_ask *ask, const struct said *r,
	struct crew__ws_reply *reply, const struct crew__complaint *complaint)
{
	if (r->protocols == 0)
		return 0;
	if (r->protocols > 1 || !find_protocol(ask->protocols, r->protocol, &reply->protocol))
		return crew__complain(complaint, -EPROTO,
			"the server chose the sub-protocol \"%.*s\", which was not offered",
			(int)crew__min(r->protocol.len, 60), r->protocol.data);
	return 0;
}

static int check_extensions(const struct crew__ws_ask *ask, const struct reading *r,
	struct crew__ws_reply *reply, const struct crew__complaint *complaint)
{
	int agreed = 0;
	if (ask->deflate) {
		agreed = crew__ws_extension_accept(r->fields, r->count, ask->resets, &reply->terms);
	} else {
		for (size_t i = 0; i < r->count; i++)
			if (crew__http_same_word(r->fields[i].name, "Sec-WebSocket-Extensions"))
				agreed = -EPROTO;
	}
	if (agreed < 0)
		return crew__complain(
			complaint, -EPROTO, "the server chose extensions that were not offered");
	return 0;
}

static int check(const struct crew__ws_ask *ask, const struct reading *r,
	struct crew__ws_reply *reply, const struct crew__complaint *complaint)
{
	char accept[29];
	const struct said *said = &r->said;
	if (reply->status != 101)
		return refuse_status(said, reply->status, complaint);
	if (said->upgrades != 1 || !crew__http_same_word(said->upgrade, "websocket"))
		return crew__complain(
			complaint, -EPROTO, "the server's answer does not say Upgrade: websocket");
	if (!said->connection_upgrades)
		return crew__complain(
			complaint, -EPROTO, "the server's answer does not say Connection: Upgrade");
	if (!crew__ws_accept(crew_str(ask->key), accept) || said->accepts != 1 ||
		said->accept.len != strlen(accept) ||
		memcmp(said->accept.data, accept, said->accept.len) != 0)
		return crew__complain(complaint, -EPROTO,
			"the server's Sec-WebSocket-Accept does not answer our "
			"key: something else has answered");
	if (said->has_body)
		return crew__complain(
			complaint, -EPROTO, "the server's answer 101 says that it has a body");
	int error = check_protocol(ask, said, reply, complaint);
	return error ? error : check_extensions(ask, r, reply, complaint);
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* What is no HTTP (another protocol's greeting) is told at once, not when a head's end comes. */
static bool begins_well(crew_bytes data)
{
	return memcmp(data.data, "HTTP/1.", crew__min(data.len, 7)) == 0;
}

/* The head's length, 0 while its end has not come. Each byte is looked at once. */
static size_t find_end(crew_bytes data, uint32_t *scanned)
{
	size_t from = *scanned > 3 ? *scanned - 3 : 0;
	const char *end = memmem(data.data + from, data.len - from, "\r\n\r\n", 4);
	*scanned = (uint32_t)data.len;
	return end ? (size_t)(end - data.data) + 4 : 0;
}

int64_t crew__ws_reply_read(const struct crew__ws_ask *ask, crew_bytes data, uint32_t *scanned,
	struct crew__ws_reply *ret_reply, char *ret_error, size_t error_size)
{
	const struct crew__complaint complaint = { ret_error, error_size };
	struct reading r;
	*ret_reply = (struct crew__ws_reply){ .status = 0 };
	if (data.len == 0)
		return 0;
	if (!begins_well(data))
		return crew__complain(
			&complaint, -EPROTO, "the server does not answer in HTTP/1.1");
	crew_bytes near = { data.data, crew__min(data.len, CREW__WS_REPLY_MOST) };
	size_t len = find_end(near, scanned);
	if (len == 0 && data.len >= CREW__WS_REPLY_MOST)
		return crew__complain(&complaint, -EPROTO,
			"the head of the server's answer is longer than %d bytes",
			CREW__WS_REPLY_MOST);
	if (len == 0)
		return 0;
	r.said = (struct said){ .upgrades = 0 };
	r.count = 0;
	int error = read_head(&r, (crew_bytes){ data.data, len }, ret_reply, &complaint);
	if (!error && !crew__ws_reply_is_interim(ret_reply))
		error = check(ask, &r, ret_reply, &complaint);
	return error ? error : (int64_t)len;
}
