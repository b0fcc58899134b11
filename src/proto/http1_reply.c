/* http1_reply.c - the other direction: status phrases, the date, the head of a response.
 *
 * Nothing leaves that could be read as two: names and values are checked, and the fields that frame
 * a message are crew's alone to write. Not here: bodies, and when a connection ends. */
#include "proto/http1.h"

#include "proto/http1_parts.h"

#include <string.h>
#include <time.h>

/* RFC 9110 15 and the registry of statuses. */
static const char *const phrases[] = {
	[100] = "Continue",
	[101] = "Switching Protocols",
	[200] = "OK",
	[201] = "Created",
	[202] = "Accepted",
	[203] = "Non-Authoritative Information",
	[204] = "No Content",
	[205] = "Reset Content",
	[206] = "Partial Content",
	[300] = "Multiple Choices",
	[301] = "Moved Permanently",
	[302] = "Found",
	[303] = "See Other",
	[304] = "Not Modified",
	[307] = "Temporary Redirect",
	[308] = "Permanent Redirect",
	[400] = "Bad Request",
	[401] = "Unauthorized",
	[402] = "Payment Required",
	[403] = "Forbidden",
	[404] = "Not Found",
	[405] = "Method Not Allowed",
	[406] = "Not Acceptable",
	[407] = "Proxy Authentication Required",
	[408] = "Request Timeout",
	[409] = "Conflict",
	[410] = "Gone",
	[411] = "Length Required",
	[412] = "Precondition Failed",
	[413] = "Content Too Large",
	[414] = "URI Too Long",
	[415] = "Unsupported Media Type",
	[416] = "Range Not Satisfiable",
	[417] = "Expectation Failed",
	[421] = "Misdirected Request",
	[422] = "Unprocessable Content",
	[425] = "Too Early",
	[426] = "Upgrade Required",
	[428] = "Precondition Required",
	[429] = "Too Many Requests",
	[431] = "Request Header Fields Too Large",
	[451] = "Unavailable For Legal Reasons",
	[500] = "Internal Server Error",
	[501] = "Not Implemented",
	[502] = "Bad Gateway",
	[503] = "Service Unavailable",
	[504] = "Gateway Timeout",
	[505] = "HTTP Version Not Supported",
	[506] = "Variant Also Negotiates",
	[507] = "Insufficient Storage",
	[508] = "Loop Detected",
	[511] = "Network Authentication Required",
};

const char *crew__http_phrase(int status)
{
	if (status < 0 || (size_t)status >= crew__lengthof(phrases) || !phrases[status])
		return "Unknown";
	return phrases[status];
}

static void put_two(char *to, int value)
{
	to[0] = (char)('0' + value / 10);
	to[1] = (char)('0' + value % 10);
}

void crew__http_date(int64_t unix_seconds, char ret_text[30])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const char form[30] = "Sun, 00 Jan 0000 00:00:00 GMT";
	const int64_t last = INT64_C(253402300799); /* the year has four digits */
	time_t seconds = (time_t)(unix_seconds < 0 ? 0 : unix_seconds > last ? last : unix_seconds);
	struct tm t;
	gmtime_r(&seconds, &t);

	memcpy(ret_text, form, sizeof(form));
	memcpy(ret_text, days + 3 * t.tm_wday, 3);
	put_two(ret_text + 5, t.tm_mday);
	memcpy(ret_text + 8, months + 3 * t.tm_mon, 3);
	put_two(ret_text + 12, (t.tm_year + 1900) / 100);
	put_two(ret_text + 14, t.tm_year % 100);
	put_two(ret_text + 17, t.tm_hour);
	put_two(ret_text + 20, t.tm_min);
	put_two(ret_text + 23, t.tm_sec);
}

/* Where the head is being written; `at` stays within `end`, and `full` tells that it did not fit.
 */
struct room {
	char *at;
	char *end;
	bool full;
};

static inline void put(struct room *room, const char *text, size_t len)
{
	if (crew__unlikely((size_t)(room->end - room->at) < len)) {
		room->full = true;
		return;
	}
	memcpy(room->at, text, len);
	room->at += len;
}

#define PUT(room, literal) put((room), "" literal, sizeof(literal) - 1)

static void put_number(struct room *room, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	put(room, digits + at, sizeof(digits) - at);
}

/* What the program's own fields make of ours. */
struct own_fields {
	bool type;
	bool upgrade;
};

#define IS(text, word) crew__http_is_word((text), (word), sizeof(word) - 1)

static bool is_ours(crew_bytes name)
{
	return IS(name, "content-length") || IS(name, "transfer-encoding") ||
	       IS(name, "connection") || IS(name, "date");
}

bool crew__http_may_send(const crew_header *h)
{
	if ((!h->value.data && h->value.len > 0) || !h->name.data)
		return false;
	return crew__http_token(h->name) && !is_ours(h->name) && crew__http_field_value(h->value);
}

size_t crew__http_chunk_line(uint64_t len, char room[CREW__HTTP_CHUNK_LINE_ROOM])
{
	size_t digits = 1;
	for (uint64_t rest = len; rest >= 16; rest /= 16)
		digits++;
	for (size_t i = digits; i-- > 0; len /= 16)
		room[i] = "0123456789abcdef"[len % 16];
	room[digits] = '\r';
	room[digits + 1] = '\n';
	return digits + 2;
}

/* Framing, routing, authentication, control of the response, and what says how to read the body. */
bool crew__http_may_trail(const crew_header *h)
{
	static const char *const before[] = { "Accept-Ranges", "Age", "Cache-Control",
		"Content-Encoding", "Content-Range", "Content-Type", "Expires", "Host",
		"Keep-Alive", "Location", "Proxy-Authenticate", "Retry-After", "Set-Cookie", "TE",
		"Trailer", "Upgrade", "Vary", "WWW-Authenticate" };
	if (!crew__http_may_send(h))
		return false;
	for (size_t i = 0; i < crew__lengthof(before); i++)
		if (crew__http_same(h->name, (crew_bytes){ before[i], strlen(before[i]) }))
			return false;
	return true;
}

static bool check_fields(const crew_response *r, struct own_fields *ret_own)
{
	*ret_own = (struct own_fields){ 0 };
	if (!r->headers && r->header_count > 0)
		return false;
	for (size_t i = 0; i < r->header_count; i++) {
		const crew_header *h = &r->headers[i];
		if (!crew__http_may_send(h))
			return false;
		ret_own->type = ret_own->type || IS(h->name, "content-type");
		ret_own->upgrade = ret_own->upgrade || IS(h->name, "upgrade");
	}
	return true;
}

static void put_status(struct room *room, int status)
{
	if (crew__likely(status == 200)) {
		PUT(room, "HTTP/1.1 200 OK\r\nDate: ");
		return;
	}
	PUT(room, "HTTP/1.1 ");
	put_number(room, (size_t)status);
	PUT(room, " ");
	const char *phrase = crew__http_phrase(status);
	put(room, phrase, strlen(phrase));
	PUT(room, "\r\nDate: ");
}

/* RFC 9110 8.6: none with 204; with 304 it would have to be that of the 200 it stands for. */
static void put_content(struct room *room, const struct crew__http_head *head, crew_bytes type)
{
	if (type.len > 0) {
		PUT(room, "\r\nContent-Type: ");
		put(room, type.data, type.len);
	}
	if (crew__likely(head->framing == CREW__HTTP_LENGTH)) {
		PUT(room, "\r\nContent-Length: ");
		put_number(room, head->length);
	} else if (head->framing == CREW__HTTP_CHUNKED) {
		PUT(room, "\r\nTransfer-Encoding: chunked");
	}
}

/* RFC 9112 9.3: 1.1 stays unless told, 1.0 goes unless told. RFC 9110 7.8: with an Upgrade field
 * the option of that name. */
static void put_connection(struct room *room, bool keep, int version, bool upgrade)
{
	const bool close = !keep && version != 10;
	const bool stay = keep && version == 10;
	if (crew__likely(!close && !stay && !upgrade))
		return;
	PUT(room, "\r\nConnection: ");
	if (close)
		PUT(room, "close");
	else if (stay)
		PUT(room, "keep-alive");
	if (upgrade && (close || stay))
		PUT(room, ", ");
	if (upgrade)
		PUT(room, "upgrade");
}

static void put_fields(struct room *room, const crew_response *r)
{
	for (size_t i = 0; i < r->header_count; i++) {
		const crew_header *h = &r->headers[i];
		PUT(room, "\r\n");
		put(room, h->name.data, h->name.len);
		PUT(room, ": ");
		if (h->value.len > 0)
			put(room, h->value.data, h->value.len);
	}
}

enum {
	USUAL_MOST = 160 /* of a usual head, its type not counted */
};

#define APPEND(at, literal) append((at), "" literal, sizeof(literal) - 1)

static inline char *append(char *at, const char *text, size_t len)
{
	memcpy(at, text, len);
	return at + len;
}

static inline char *append_number(char *at, uint64_t value)
{
	size_t digits = 1;
	for (uint64_t rest = value; rest >= 10; rest /= 10)
		digits++;
	for (size_t i = digits; i-- > 0; value /= 10)
		at[i] = (char)('0' + value % 10);
	return at + digits;
}

/* Most heads by far: 200, of a known length, and nothing to say of the connection or by the
 * program; into room enough. What is of a fixed length costs a few instructions. 0: it is no such
 * head. */
static inline int write_usual(const struct crew__http_head *head, char *start, size_t size)
{
	const crew_response *r = head->response;
	crew_bytes type = { r->type, r->type ? strlen(r->type) : 0 };
	if (!r->type && head->length > 0)
		type = CREW_BYTES("text/plain; charset=utf-8");
	if (crew__unlikely(size < USUAL_MOST + type.len))
		return 0;
	if (crew__unlikely(r->type && !crew__http_field_value(type)))
		return 0;
	char *at = APPEND(start, "HTTP/1.1 200 OK\r\nDate: ");
	at = append(at, head->date, 29);
	if (crew__likely(type.len > 0)) {
		at = APPEND(at, "\r\nContent-Type: ");
		crew__copy(at, type.data, type.len);
		at += type.len;
	}
	at = APPEND(at, "\r\nContent-Length: ");
	at = append_number(at, head->length);
	at = APPEND(at, "\r\n\r\n");
	return (int)(at - start);
}

static inline bool is_usual(const struct crew__http_head *head)
{
	const crew_response *r = head->response;
	return (r->status == 0 || r->status == 200) && !r->headers && r->header_count == 0 &&
	       head->fields.len == 0 && head->framing == CREW__HTTP_LENGTH && head->keep_alive &&
	       !r->close && head->version != 10;
}

static __attribute__((noinline)) int write_any(
	const struct crew__http_head *head, char *room_start, size_t size)
{
	const crew_response *r = head->response;
	int status = r->status == 0 ? 200 : r->status;
	bool content = status != 204 && status != 304;
	bool body = head->framing != CREW__HTTP_LENGTH || head->length > 0;
	struct own_fields own;
	if (status < 200 || status > 599 || !check_fields(r, &own))
		return -EINVAL;
	crew_bytes type = { r->type, r->type ? strlen(r->type) : 0 };
	if (r->type && (own.type || !crew__http_field_value(type)))
		return -EINVAL;
	if (!r->type && !own.type && body)
		type = CREW_BYTES("text/plain; charset=utf-8");

	struct room room = { room_start, room_start + crew__min(size, INT32_MAX), false };
	put_status(&room, status);
	put(&room, head->date, 29);
	if (crew__likely(content))
		put_content(&room, head, type);
	put_connection(&room, head->keep_alive && !r->close, head->version, own.upgrade);
	put_fields(&room, r);
	PUT(&room, "\r\n");
	if (crew__unlikely(head->fields.len > 0))
		put(&room, head->fields.data, head->fields.len);
	PUT(&room, "\r\n");
	return room.full ? -EMSGSIZE : (int)(room.at - room_start);
}

int crew__http_write_head(const struct crew__http_head *head, char *room, size_t size)
{
	int n = crew__likely(is_usual(head)) ? write_usual(head, room, size) : 0;
	return crew__likely(n > 0) ? n : write_any(head, room, size);
}
