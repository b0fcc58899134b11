/* http_connect.c - CONNECT through an HTTP proxy, the client's side. */
#include "proto/http_connect.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum {
	FIELD_MOST = 255, /* of user and password */
	REASON_MOST = 64,
	AUTHORITY_MOST = 253 + 2 + 1 + 5
};

/* Which line comes next. */
enum step {
	STEP_STATUS,
	STEP_FIELDS,
	STEP_DONE
};

/* ---- what we say --------------------------------------------------------------------------- */

/* A name or a numeric address: nothing that could end a line or be another part of a URI. */
static bool is_host(const char *host)
{
	static const char bytes[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
	size_t length = strnlen(host, AUTHORITY_MOST);
	return length > 0 && length <= 253 && host[strspn(host, bytes)] == '\0';
}

static int check_ask(struct crew__preamble_talk *talk)
{
	const struct crew__preamble_ask *ask = &talk->ask;
	if (!is_host(ask->host))
		return crew__preamble_fail(
			talk, -EINVAL, "can be asked only for a name or an address");
	if (!ask->user)
		return 0;
	if (strchr(ask->user, ':'))
		return crew__preamble_fail(talk, -EINVAL, "takes no user with a colon in its name");
	if (strlen(ask->user) > FIELD_MOST || strlen(ask->password) > FIELD_MOST)
		return crew__preamble_fail(talk, -EINVAL,
			"is not sent a user or password of more than %d bytes", FIELD_MOST);
	return 0;
}

static int say_who(struct crew__preamble_talk *talk, struct crew__buf *out)
{
	static const char name[] = "Proxy-Authorization: Basic ";
	char plain[2 * FIELD_MOST + 2], encoded[4 * (sizeof(plain) / 3 + 1) + 1];
	if (!talk->ask.user)
		return 0;
	int length = snprintf(plain, sizeof(plain), "%s:%s", talk->ask.user, talk->ask.password);
	int size = EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)plain, length);
	int error = crew__buf_append(out, name, sizeof(name) - 1);
	if (!error)
		error = crew__buf_append(out, encoded, (size_t)size);
	if (!error)
		error = crew__buf_append(out, "\r\n", 2);
	OPENSSL_cleanse(plain, sizeof(plain));
	OPENSSL_cleanse(encoded, sizeof(encoded));
	return error;
}

static int begin(struct crew__preamble_talk *talk, struct crew__buf *out)
{
	char authority[AUTHORITY_MOST + 1], head[2 * AUTHORITY_MOST + 64];
	int error = check_ask(talk);
	if (error)
		return error;
	bool ipv6 = strchr(talk->ask.host, ':') != NULL;
	snprintf(authority, sizeof(authority), ipv6 ? "[%s]:%u" : "%s:%u", talk->ask.host,
		talk->ask.port);
	int length = snprintf(
		head, sizeof(head), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", authority, authority);
	error = crew__buf_append(out, head, (size_t)length);
	if (!error)
		error = say_who(talk, out);
	talk->step = STEP_STATUS;
	return error ? error : crew__buf_append(out, "\r\n", 2);
}

/* ---- what the proxy says ------------------------------------------------------------------- */

/* What each status means for whoever wanted to connect, and what to do. */
static const struct {
	int status, error;
	const char *more;
} meanings[] = {
	{ 400, -EPROTO, "it did not understand us" },
	{ 401, -EACCES, "is it a proxy at all?" },
	{ 403, -EACCES, "its rules do not allow this connection" },
	{ 404, -EHOSTUNREACH, "is it a proxy at all?" },
	{ 405, -EACCES, "it does not CONNECT; is it a proxy at all?" },
	{ 407, -EACCES, "" },
	{ 500, -EIO, "it had a failure of its own" },
	{ 501, -EPROTO, "it does not know how to CONNECT" },
	{ 502, -EHOSTUNREACH, "it could not reach the host" },
	{ 503, -EHOSTUNREACH, "it could not reach the host, or is overloaded" },
	{ 504, -ETIMEDOUT, "the host did not answer it" },
};

/* The reason phrase is the proxy's: printable bytes, and not too many. */
static void copy_reason(crew_bytes reason, char text[REASON_MOST + 1])
{
	size_t length = crew__min(reason.len, REASON_MOST);
	for (size_t i = 0; i < length; i++)
		text[i] = reason.data[i] >= ' ' && reason.data[i] <= '~' ? reason.data[i] : '?';
	text[length] = '\0';
}

static int refused(struct crew__preamble_talk *talk, crew_bytes reason)
{
	char text[REASON_MOST + 1];
	int error = -EPROTO;
	const char *more = "it does not let us through";
	for (size_t i = 0; i < crew__lengthof(meanings); i++) {
		if (meanings[i].status != talk->status)
			continue;
		error = meanings[i].error;
		more = meanings[i].more;
	}
	if (talk->status == 407)
		more = talk->ask.user ? "it does not take this user and password"
				      : "write USER:PASSWORD@ before its name";
	copy_reason(reason, text);
	return crew__preamble_fail(
		talk, error, "answers %d%s%s: %s", talk->status, text[0] ? " " : "", text, more);
}

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* "HTTP/1.1 200 Connection established", or without a reason, with or without the space before it.
 */
static int take_status(struct crew__preamble_talk *talk, crew_bytes line)
{
	static const char begins[] = "HTTP/1.";
	const char *at = line.data;
	bool good = line.len >= 12 && memcmp(at, begins, 7) == 0 && is_digit(at[7]) &&
		    at[8] == ' ' && at[9] >= '1' && at[9] <= '9' && is_digit(at[10]) &&
		    is_digit(at[11]) && (line.len == 12 || at[12] == ' ');
	if (!good)
		return crew__preamble_fail(talk, -EPROTO, "does not answer as an HTTP proxy does");
	talk->status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
	talk->step = STEP_FIELDS;
	if (talk->status >= 300 || talk->status == 101)
		return refused(talk, (crew_bytes){ at + crew__min(13, line.len),
					     line.len - crew__min(13, line.len) });
	return 0;
}

/* An answer of 1xx is followed by another one. Of 2xx the fields say nothing: lengths are ignored.
 */
static int take_field(struct crew__preamble_talk *talk, crew_bytes line)
{
	if (line.len == 0) {
		talk->step = talk->status < 200 ? STEP_STATUS : STEP_DONE;
		return 0;
	}
	const char *colon = memchr(line.data, ':', line.len);
	if (!colon || colon == line.data || line.data[0] == ' ' || line.data[0] == '\t')
		return crew__preamble_fail(talk, -EPROTO, "answers with a field that is none");
	return 0;
}

/* A line without its end, when it is whole; CR LF or LF. */
static bool next_line(
	struct crew__preamble_talk *talk, crew_bytes in, crew_bytes *ret_line, size_t *ret_size)
{
	const char *end = memchr(in.data + talk->scanned, '\n', in.len - talk->scanned);
	talk->scanned = end ? 0 : in.len;
	if (!end)
		return false;
	size_t length = (size_t)(end - in.data);
	*ret_size = length + 1;
	if (length > 0 && in.data[length - 1] == '\r')
		length--;
	*ret_line = (crew_bytes){ in.data, length };
	return true;
}

static int take_line(struct crew__preamble_talk *talk, crew_bytes line)
{
	if (memchr(line.data, '\0', line.len) || memchr(line.data, '\r', line.len))
		return crew__preamble_fail(
			talk, -EPROTO, "answers with bytes that no HTTP line has");
	return talk->step == STEP_STATUS ? take_status(talk, line) : take_field(talk, line);
}

static int feed(
	struct crew__preamble_talk *talk, crew_bytes in, size_t *ret_used, struct crew__buf *out)
{
	(void)out;
	size_t size;
	crew_bytes line;
	int error = 0;
	*ret_used = 0;
	while (!error && talk->step != STEP_DONE && in.len > talk->scanned &&
		next_line(talk, in, &line, &size)) {
		error = take_line(talk, line);
		in = (crew_bytes){ in.data + size, in.len - size };
		*ret_used += size;
		talk->total += size;
		if (talk->total > CREW__PREAMBLE_MOST)
			break;
	}
	if (!error && talk->total + (talk->step == STEP_DONE ? 0 : in.len) > CREW__PREAMBLE_MOST)
		return crew__preamble_fail(talk, -EPROTO,
			"answers with more than %d bytes of fields", CREW__PREAMBLE_MOST);
	return error ? error : talk->step == STEP_DONE;
}

const struct crew__preamble crew__http_connect = { .scheme = "http", .begin = begin, .feed = feed };
