/* ws_client.c - the request: what we ask, and what the program may add to it.
 *
 * The answer is in ws_reply.c. */
#include "web/ws_client.h"

#include "proto/http1.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <sys/random.h>

enum {
	KEY_SIZE = 16,
	FIELDS_MOST = 64,
	PROTOCOLS_MOST = 32,
};

/* ---- what the program adds ----------------------------------------------------------------- */

/* Fields that say what the request is and where it ends. */
static bool is_ours(crew_bytes name)
{
	static const char *const ours[] = { "Upgrade", "Connection", "Content-Length",
		"Transfer-Encoding", "Expect", "TE", "Trailer", "Keep-Alive", "HTTP2-Settings" };
	static const char prefix[] = "Sec-WebSocket-";
	if (name.len >= sizeof(prefix) - 1 &&
		crew__http_same_word((crew_bytes){ name.data, sizeof(prefix) - 1 }, prefix))
		return true;
	for (size_t i = 0; i < crew__lengthof(ours); i++)
		if (crew__http_same_word(name, ours[i]))
			return true;
	return false;
}

static int check_field(const crew_header *h, char *ret_error, size_t error_size)
{
	int shown = (int)crew__min(h->name.len, 60);
	if (!crew__http_token(h->name))
		snprintf(ret_error, error_size, "headers: \"%.*s\" is no name of a field", shown,
			h->name.data);
	else if ((!h->value.data && h->value.len > 0) || !crew__http_field_value(h->value))
		snprintf(ret_error, error_size,
			"headers: the value of %.*s holds a control character", shown,
			h->name.data);
	else if (is_ours(h->name))
		snprintf(ret_error, error_size,
			"headers: %.*s belongs to the handshake itself (sub-protocols go into "
			".protocols)",
			shown, h->name.data);
	else
		return 0;
	return -EINVAL;
}

static int check_fields(const crew_header *headers, char *ret_error, size_t error_size)
{
	unsigned hosts = 0;
	size_t count = 0;
	for (const crew_header *h = headers; h && h->name.data; h++) {
		if (++count > FIELDS_MOST) {
			snprintf(ret_error, error_size,
				"headers: more than %d, or no NULL name at "
				"their end",
				FIELDS_MOST);
			return -EINVAL;
		}
		int error = check_field(h, ret_error, error_size);
		if (error)
			return error;
		hosts += crew__http_same_word(h->name, "Host");
	}
	if (hosts <= 1)
		return 0;
	snprintf(ret_error, error_size, "headers: more than one Host");
	return -EINVAL;
}

/* The next word of the list; no bytes: there is none. */
static crew_bytes next_name(const char **at)
{
	*at += strspn(*at, " ");
	crew_bytes word = { *at, strcspn(*at, " ") };
	*at += word.len;
	return word;
}

static bool stands_before(const char *list, crew_bytes name)
{
	for (crew_bytes word = next_name(&list); word.data < name.data; word = next_name(&list))
		if (word.len == name.len && memcmp(word.data, name.data, name.len) == 0)
			return true;
	return false;
}

/* RFC 6455 section 4.1, 10.: tokens, all different. */
static int check_protocols(const char *protocols, char *ret_error, size_t error_size)
{
	const char *at = protocols;
	unsigned count = 0;
	for (crew_bytes name = next_name(&at); name.len > 0; name = next_name(&at)) {
		const char *what = NULL;
		if (!crew__http_token(name))
			what = "is no name of a sub-protocol; names are separated by blanks";
		else if (stands_before(protocols, name))
			what = "stands there twice";
		else if (++count > PROTOCOLS_MOST)
			what = "is one too many";
		if (!what)
			continue;
		snprintf(ret_error, error_size, "protocols: \"%.*s\" %s",
			(int)crew__min(name.len, 60), name.data, what);
		return -EINVAL;
	}
	return 0;
}

int crew__ws_ask_check(
	const crew_header *headers, const char *protocols, char *ret_error, size_t error_size)
{
	int error = check_fields(headers, ret_error, error_size);
	if (!error && protocols)
		error = check_protocols(protocols, ret_error, error_size);
	return error;
}

/* ---- the request --------------------------------------------------------------------------- */

int crew__ws_ask_key(struct crew__ws_ask *ask)
{
	unsigned char bytes[KEY_SIZE];
	ssize_t n = getrandom(bytes, sizeof(bytes), 0);
	if (n != (ssize_t)sizeof(bytes))
		return n < 0 ? -errno : -EIO;
	EVP_EncodeBlock((unsigned char *)ask->key, bytes, KEY_SIZE);
	return 0;
}

static void put(struct crew__buf *out, crew_bytes bytes, int *error)
{
	if (!*error)
		*error = crew__buf_append(out, bytes.data, bytes.len);
}

static void put_field(struct crew__buf *out, crew_bytes name, crew_bytes value, int *error)
{
	put(out, name, error);
	put(out, CREW_BYTES(": "), error);
	put(out, value, error);
	put(out, CREW_BYTES("\r\n"), error);
}

static bool has_host(const crew_header *headers)
{
	for (const crew_header *h = headers; h && h->name.data; h++)
		if (crew__http_same_word(h->name, "Host"))
			return true;
	return false;
}

static void put_protocols(struct crew__buf *out, const char *protocols, int *error)
{
	crew_bytes between = CREW_BYTES("Sec-WebSocket-Protocol: ");
	bool any = false;
	for (crew_bytes name = next_name(&protocols); name.len > 0; name = next_name(&protocols)) {
		put(out, between, error);
		put(out, name, error);
		between = CREW_BYTES(", ");
		any = true;
	}
	if (any)
		put(out, CREW_BYTES("\r\n"), error);
}

int crew__ws_ask_write(const struct crew__ws_ask *ask, struct crew__buf *out)
{
	int error = 0;
	put(out, CREW_BYTES("GET "), &error);
	put(out, ask->target, &error);
	put(out, CREW_BYTES(" HTTP/1.1\r\n"), &error);
	if (!has_host(ask->headers))
		put_field(out, CREW_BYTES("Host"), ask->authority, &error);
	put(out, CREW_BYTES("Upgrade: websocket\r\nConnection: Upgrade\r\n"), &error);
	put_field(out, CREW_BYTES("Sec-WebSocket-Key"), crew_str(ask->key), &error);
	put(out, CREW_BYTES("Sec-WebSocket-Version: 13\r\n"), &error);
	if (ask->protocols)
		put_protocols(out, ask->protocols, &error);
	if (ask->deflate)
		put_field(out, CREW_BYTES("Sec-WebSocket-Extensions"),
			crew_str(crew__ws_extension_offer(ask->resets)), &error);
	for (const crew_header *h = ask->headers; h && h->name.data; h++)
		put_field(out, h->name, h->value, &error);
	put(out, CREW_BYTES("\r\n"), &error);
	return error;
}
