/* socks5.c - SOCKS version 5, the client's side. */
#include "proto/socks5.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum {
	VERSION = 5,
	AUTH_VERSION = 1,
	METHOD_NONE = 0,
	METHOD_PASSWORD = 2,
	METHOD_REFUSED = 0xff,
	COMMAND_CONNECT = 1,
	ADDRESS_IPV4 = 1,
	ADDRESS_NAME = 3,
	ADDRESS_IPV6 = 4,
	FIELD_MOST = 255,
	REPLY_HEAD = 4,
	PORT_SIZE = 2
};

/* What comes next. */
enum step {
	STEP_METHOD,
	STEP_AUTH,
	STEP_REPLY,
	STEP_DONE
};

/* ---- what we say --------------------------------------------------------------------------- */

static int check_ask(struct crew__preamble_talk *talk)
{
	const struct crew__preamble_ask *ask = &talk->ask;
	size_t host = strlen(ask->host);
	if (host == 0 || host > FIELD_MOST)
		return crew__preamble_fail(
			talk, -EINVAL, "takes names of 1 to %d bytes", FIELD_MOST);
	if (strchr(ask->host, '%'))
		return crew__preamble_fail(
			talk, -EINVAL, "cannot be told of a zone: write the address without %%");
	if (!ask->user)
		return 0;
	if (ask->user[0] == '\0' || strlen(ask->user) > FIELD_MOST ||
		strlen(ask->password) > FIELD_MOST)
		return crew__preamble_fail(talk, -EINVAL,
			"takes a user of 1 to %d bytes and a password of at most that", FIELD_MOST);
	return 0;
}

static int begin(struct crew__preamble_talk *talk, struct crew__buf *out)
{
	static const uint8_t plain[] = { VERSION, 1, METHOD_NONE };
	static const uint8_t either[] = { VERSION, 2, METHOD_NONE, METHOD_PASSWORD };
	int error = check_ask(talk);
	if (error)
		return error;
	talk->step = STEP_METHOD;
	return talk->ask.user ? crew__buf_append(out, either, sizeof(either))
			      : crew__buf_append(out, plain, sizeof(plain));
}

/* Length and bytes, as SOCKS writes what is not fixed. */
static uint8_t *put_field(uint8_t *at, const char *text)
{
	size_t length = strlen(text);
	*at++ = (uint8_t)length;
	crew__copy((char *)at, text, length);
	return at + length;
}

static int say_password(struct crew__preamble_talk *talk, struct crew__buf *out)
{
	uint8_t said[1 + 2 * (1 + FIELD_MOST)];
	uint8_t *at = said;
	*at++ = AUTH_VERSION;
	at = put_field(at, talk->ask.user);
	at = put_field(at, talk->ask.password);
	int error = crew__buf_append(out, said, (size_t)(at - said));
	explicit_bzero(said, sizeof(said));
	talk->step = STEP_AUTH;
	return error;
}

static int say_request(struct crew__preamble_talk *talk, struct crew__buf *out)
{
	uint8_t said[REPLY_HEAD + 1 + FIELD_MOST + PORT_SIZE] = { VERSION, COMMAND_CONNECT, 0 };
	uint8_t *at = said + REPLY_HEAD;
	if (inet_pton(AF_INET, talk->ask.host, at) == 1) {
		said[3] = ADDRESS_IPV4;
		at += sizeof(struct in_addr);
	} else if (inet_pton(AF_INET6, talk->ask.host, at) == 1) {
		said[3] = ADDRESS_IPV6;
		at += sizeof(struct in6_addr);
	} else {
		said[3] = ADDRESS_NAME;
		at = put_field(at, talk->ask.host);
	}
	*at++ = (uint8_t)(talk->ask.port >> 8);
	*at++ = (uint8_t)talk->ask.port;
	talk->step = STEP_REPLY;
	return crew__buf_append(out, said, (size_t)(at - said));
}

/* ---- what the proxy says: each returns the bytes used, 0 when there are too few, or an error ----
 */

static int take_method(
	struct crew__preamble_talk *talk, const uint8_t *in, size_t len, struct crew__buf *out)
{
	bool password = talk->ask.user != NULL;
	int error;
	if (in[0] != VERSION)
		return crew__preamble_fail(talk, -EPROTO, "does not speak SOCKS version 5");
	if (len < 2)
		return 0;
	if (in[1] == METHOD_NONE)
		error = say_request(talk, out);
	else if (in[1] == METHOD_PASSWORD && password)
		error = say_password(talk, out);
	else if (in[1] == METHOD_REFUSED)
		return crew__preamble_fail(talk, -EACCES, "%s",
			password
				? "takes neither nobody nor a user with a password"
				: "wants to know who we are: write USER:PASSWORD@ before its name");
	else
		return crew__preamble_fail(
			talk, -EPROTO, "chose a way to log in that was not offered: %u", in[1]);
	return error ? error : 2;
}

/* By RFC 1929 the answer's version is 1; there are servers that write 5 again. */
static int take_auth(
	struct crew__preamble_talk *talk, const uint8_t *in, size_t len, struct crew__buf *out)
{
	if (in[0] != AUTH_VERSION && in[0] != VERSION)
		return crew__preamble_fail(
			talk, -EPROTO, "answers the password with bytes that are not SOCKS");
	if (len < 2)
		return 0;
	if (in[1] != 0)
		return crew__preamble_fail(talk, -EACCES, "does not take this user and password");
	int error = say_request(talk, out);
	return error ? error : 2;
}

static const struct {
	int error;
	const char *why;
} replies[] = {
	[1] = { -EIO, "had a failure of its own" },
	[2] = { -EACCES, "has rules that do not allow this connection" },
	[3] = { -ENETUNREACH, "cannot reach the network" },
	[4] = { -EHOSTUNREACH, "cannot reach the host" },
	[5] = { -ECONNREFUSED, "was refused by the host" },
	[6] = { -ETIMEDOUT, "gave up: the time to live expired" },
	[7] = { -EPROTO, "does not know how to CONNECT" },
	[8] = { -EAFNOSUPPORT, "does not know this kind of address" },
};

static int refused(struct crew__preamble_talk *talk, unsigned reply)
{
	if (reply < crew__lengthof(replies))
		return crew__preamble_fail(talk, replies[reply].error, "%s (SOCKS reply %u)",
			replies[reply].why, reply);
	return crew__preamble_fail(talk, -EPROTO, "answers with an unknown SOCKS reply, %u", reply);
}

/* Where the proxy connects from stands in the reply; nobody needs it. */
static int take_reply(struct crew__preamble_talk *talk, const uint8_t *in, size_t len)
{
	size_t size;
	if (in[0] != VERSION)
		return crew__preamble_fail(talk, -EPROTO, "answers with bytes that are not SOCKS");
	if (len < 2)
		return 0;
	if (in[1] != 0)
		return refused(talk, in[1]);
	if (len < REPLY_HEAD)
		return 0;
	switch (in[3]) {
	case ADDRESS_IPV4:
		size = sizeof(struct in_addr);
		break;
	case ADDRESS_IPV6:
		size = sizeof(struct in6_addr);
		break;
	case ADDRESS_NAME:
		if (len < REPLY_HEAD + 1)
			return 0;
		size = 1u + in[4];
		break;
	default:
		return crew__preamble_fail(
			talk, -EPROTO, "answers with an unknown kind of address, %u", in[3]);
	}
	size += REPLY_HEAD + PORT_SIZE;
	if (len < size)
		return 0;
	talk->step = STEP_DONE;
	return (int)size;
}

static int take(
	struct crew__preamble_talk *talk, const uint8_t *in, size_t len, struct crew__buf *out)
{
	switch ((enum step)talk->step) {
	case STEP_METHOD:
		return take_method(talk, in, len, out);
	case STEP_AUTH:
		return take_auth(talk, in, len, out);
	case STEP_REPLY:
		return take_reply(talk, in, len);
	case STEP_DONE:
		break;
	}
	return 0;
}

static int feed(
	struct crew__preamble_talk *talk, crew_bytes in, size_t *ret_used, struct crew__buf *out)
{
	size_t used = 0;
	int took = 1;
	while (took > 0 && used < in.len && talk->step != STEP_DONE) {
		took = take(talk, (const uint8_t *)in.data + used, in.len - used, out);
		if (took > 0)
			used += (size_t)took;
	}
	talk->total += used;
	*ret_used = used;
	return took < 0 ? took : talk->step == STEP_DONE;
}

const struct crew__preamble crew__socks5 = { .scheme = "socks5", .begin = begin, .feed = feed };
