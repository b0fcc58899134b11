/* http1.h - HTTP/1.x requests: bytes in, one request out (RFC 9112, RFC 9110).
 *
 * No sockets, no copies: the request is a set of views into the caller's bytes. Incremental in
 * linear time: what arrived is scanned once for the head's end, the head is parsed when it is whole
 * (or at once when it came whole), and a chunked body is decoded in place as it arrives. Strict:
 * ambiguity is refused, never guessed. The full HTTP server is to be built on this parser, so
 * nothing here knows what a reply is beyond the status that a bad request deserves. */
#ifndef CREW_PROTO_HTTP1_H
#define CREW_PROTO_HTTP1_H

#include "base/base.h"

/* Beyond: 431, and for a request line 414. */
enum {
	CREW__HTTP_HEADERS_MAX = 100,      /* fields, those of a head and its trailers together */
	CREW__HTTP_HEAD_MAX = 16 * 1024,   /* a head, unless the request says otherwise */
	CREW__HTTP_LINE_MAX = 8 * 1024,    /* a request line, which a head's limit bounds as well */
	CREW__HTTP_TRAILER_MAX = 8 * 1024, /* all trailers */
};

/* One connection's parser between calls: small, because idle connections have it too. Zeroed is
 * ready for the first request. */
struct crew__http1 {
	uint64_t length; /* Content-Length, or what is left of it to come by crew__http1_part;
			  * chunked: what is left of the present chunk */
	union {
		struct {
			uint32_t body;     /* gathered, chunked: decoded bytes so far */
			uint32_t chunk_in; /* ... and how far the coded body has been read */
		};
		uint64_t taken; /* in parts: bytes of the body so far */
	};
	uint32_t scanned;    /* bytes of the present request looked through for the head's end */
	uint32_t head;       /* length of the head once it is known, else 0 */
	uint16_t chunk_line; /* chunked: length so far of the size line, or of all trailers */
	uint8_t chunk_state;
	uint8_t flags;
	uint8_t fields; /* of the head, and trailers so far */
};

/* A complete request, or what is known of one: views into the bytes of that call. All is written by
 * the parser but `max_head`, which whoever has the memory sets once, and `public.side`. */
struct crew__http1_request {
	crew_request public; /* headers and trailers point into `table` */
	crew_header table[CREW__HTTP_HEADERS_MAX];
	uint32_t max_head; /* its empty line included; 0: CREW__HTTP_HEAD_MAX. It stays the same
			    * while a request is being parsed */
	bool upgrade_websocket; /* HTTP/1.1, Connection has `upgrade`, Upgrade has `websocket` (RFC
				 * 6455 4.2.1), and no body; whether it is a GET is not looked at */
	bool expect_continue;   /* RFC 9110 10.1.1 */
	bool head_only;         /* HEAD */
	bool chunked;
	/* The WebSocket handshake's fields, empty when missing. `repeated` when the key or the
	 * version came twice, which is an error; of the other two, which may, this is the first. */
	crew_bytes ws_key, ws_version, ws_protocol, ws_extensions;
	bool ws_repeated;
};

enum crew__http1_result {
	CREW__HTTP_MORE, /* incomplete: call again with the same bytes and more behind them */
	CREW__HTTP_HEAD, /* the head is whole and good, the body is not: told once for each request
			  * whose body is still to come, so that 100-continue can be answered */
	CREW__HTTP_REQUEST, /* complete; `ret_consumed` bytes are done with */
	CREW__HTTP_PART,    /* by crew__http1_part: some bytes of the body */
	CREW__HTTP_BAD,     /* `ret_status` is the answer it deserves, then the connection ends */
};

/* `data` begins at the present request's first byte on every call (bytes may move between calls);
 * a chunked body is decoded in place, so the bytes are written to. `max_message` bounds the body:
 * beyond it 413, at the Content-Length or the chunk-size line, before the bytes come.
 * `ret_consumed` is set with CREW__HTTP_REQUEST, `ret_status` with CREW__HTTP_BAD, `request` with
 * CREW__HTTP_REQUEST and, without body and trailers, CREW__HTTP_HEAD.
 * Statuses: 400, 413, 414, 417 (an expectation other than 100-continue), 431, 501 (CONNECT, or a
 * transfer coding beside chunked), 505. */
enum crew__http1_result crew__http1_feed(struct crew__http1 *p, char *data, size_t len,
	size_t max_message, struct crew__http1_request *request, size_t *ret_consumed,
	int *ret_status);

/* The head alone, for who wants to look at it before the body is taken: CREW__HTTP_MORE;
 * CREW__HTTP_REQUEST when it has no body; CREW__HTTP_HEAD when it has one, come or not, with
 * `ret_consumed` the head's length (and no limit applied); CREW__HTTP_BAD. After CREW__HTTP_HEAD go
 * on with crew__http1_feed and the same bytes, or drop the head and go on with crew__http1_part. */
enum crew__http1_result crew__http1_begin(struct crew__http1 *p, char *data, size_t len,
	struct crew__http1_request *request, size_t *ret_consumed, int *ret_status);

/* The body in parts, of any length: `data` begins behind what was consumed before, in the head's
 * case behind it. CREW__HTTP_PART: `ret_part` is a view into the bytes, not empty; CREW__HTTP_MORE:
 * give what was not consumed (trailers that are not complete, else nothing) again, with more behind
 * it; CREW__HTTP_REQUEST: the body is complete, `ret_part` is for crew__http1_trailers;
 * CREW__HTTP_BAD. `max` bounds the whole body as in crew__http1_feed, but may be beyond 32 bits.
 * `ret_consumed` is always set. */
enum crew__http1_result crew__http1_part(struct crew__http1 *p, char *data, size_t len,
	uint64_t max, crew_bytes *ret_part, size_t *ret_consumed, int *ret_status);

/* The fields of a trailer section that crew__http1_part gave out, which it has checked: how many
 * are written to `ret_fields`, at most `most`, for which CREW__HTTP_HEADERS_MAX is always enough.
 * Fields that decide about a message before its body comes are left out (RFC 9110 6.5.1): who
 * merged them with the head would let the end of a body overrule what has been checked at its
 * start. */
size_t crew__http1_trailers(crew_bytes section, crew_header *ret_fields, size_t most);

/* After CREW__HTTP_PART: was that the last, as the length told? Then it is as CREW__HTTP_REQUEST.
 */
bool crew__http1_ended(struct crew__http1 *p);

/* After CREW__HTTP_MORE or CREW__HTTP_HEAD, with the same bytes: how many at the front a caller may
 * drop. What the coding of chunks took is given back so, once it is more than all the rest (which
 * is moved then, so views are void): a body of many small chunks never holds more than twice its
 * own length and its head's, and the moving costs no more than a fixed number of times the bytes.
 */
size_t crew__http1_squeeze(struct crew__http1 *p, char *data, size_t len);

/* No byte of a request has come (but perhaps an empty line before one). */
bool crew__http1_idle(const struct crew__http1 *p);

/* "OK", "Not Found"; "Unknown" for a status without a registered phrase. Never NULL. */
const char *crew__http_phrase(int status);

/* `name` is an RFC 9110 token; `value` has no CR, LF, NUL or other control byte but tab. */
bool crew__http_token(crew_bytes name);
bool crew__http_field_value(crew_bytes value);
/* Of how many bytes is the token that `text` begins with? */
size_t crew__http_token_span(crew_bytes text);
/* Case-insensitive comparison in ASCII. */
bool crew__http_same(crew_bytes a, crew_bytes b);
static inline bool crew__http_same_word(crew_bytes text, const char *word)
{
	return crew__http_same(text, crew_str(word));
}

/* OWS (RFC 9110 5.6.3): its bytes, and a text without it at both ends. */
static inline bool crew__http_is_space(char c)
{
	return c == ' ' || c == '\t';
}
crew_bytes crew__http_trim(crew_bytes text);

/* RFC 9110 5.6.1: the next element of a comma-separated list, trimmed; false at its end. Empty
 * elements are told too. `*rest` is the list at first. */
bool crew__http_element(crew_bytes *rest, crew_bytes *ret_element);

/* The value of a hexadecimal digit, -1 when it is none. */
int crew__http_hex(char c);

/* The IMF-fixdate (RFC 9110 5.6.7) of `unix_seconds`: 29 bytes and a NUL. */
void crew__http_date(int64_t unix_seconds, char ret_text[30]);

/* How a response says where its body ends (RFC 9112 6.3). */
enum crew__http_framing {
	CREW__HTTP_LENGTH, /* Content-Length */
	CREW__HTTP_CHUNKED,
	CREW__HTTP_UNSAID, /* it is the connection's end, or there is no body */
};

/* Write the head of a response into `room`: status line, Date, Content-Type, what frames the body,
 * Connection (only where HTTP's default for `version` differs), the caller's fields. The response's
 * body is not looked at. Returns its length, or -EMSGSIZE when `size` is too small, -EINVAL for
 * what crew_reply() refuses. */
struct crew__http_head {
	const crew_response *response;
	int version; /* of the request: 10 or 11 */
	bool keep_alive;
	const char *date; /* 29 bytes, cached by the caller */
	enum crew__http_framing framing;
	uint64_t length;   /* CREW__HTTP_LENGTH */
	crew_bytes fields; /* more of them, checked, each with its line's end */
};
int crew__http_write_head(const struct crew__http_head *head, char *room, size_t size);

enum {
	CREW__HTTP_CHUNK_LINE_ROOM = 18 /* 16 digits and the line's end */
};
/* Write the line before a chunk of `len > 0` bytes; returns its length. No NUL behind it. */
size_t crew__http_chunk_line(uint64_t len, char room[CREW__HTTP_CHUNK_LINE_ROOM]);

/* May a program send that field: is it whole, nothing in it could split the response, and it is not
 * one of those that are crew's to write? */
bool crew__http_may_send(const crew_header *field);
/* The same behind a chunked body, where nothing may come that had to be known before it (RFC 9110
 * 6.5.1). */
bool crew__http_may_trail(const crew_header *field);

#endif
