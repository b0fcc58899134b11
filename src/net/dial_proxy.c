/* dial_proxy.c - a proxy: its URL, and the talk with it until the way is free.
 *
 * Not here: what is said (proto/socks5.c, proto/http_connect.c). User and password stand in one
 * allocation, wiped before it is freed, and in no sentence. */
#include "net/dial.h"

#include "net/dial_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOKS_LIKE "such as socks5://USER:PASSWORD@127.0.0.1:1080 or http://proxy.example:3128"

enum {
	CHUNK = 4096,
	SAID_MOST = 4096, /* what we say to a proxy is far shorter */
	PORT_DIGITS = 5
};

/* ---- the URL ------------------------------------------------------------------------------- */

static int refuse(char *ret_error, size_t error_size, const char *what)
{
	snprintf(ret_error, error_size, "the proxy's address %s; it is written as one %s", what,
		LOOKS_LIKE);
	return -EINVAL;
}

static int hex(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* In place. False: a `%` without two digits behind it, or a byte that is 0. */
static bool decode(char *text)
{
	char *to = text;
	for (const char *at = text; *at; at++) {
		if (*at != '%') {
			*to++ = *at;
			continue;
		}
		int high = hex(at[1]);
		int low = high < 0 ? -1 : hex(at[2]);
		if (low < 0 || high * 16 + low == 0)
			return false;
		*to++ = (char)(high * 16 + low);
		at += 2;
	}
	*to = '\0';
	return true;
}

/* USER:PASSWORD or USER, before the last `@`. */
static int take_user(struct crew__dial_proxy *proxy, char **rest, char *error, size_t size)
{
	char *at = strrchr(*rest, '@');
	if (!at)
		return 0;
	proxy->user = *rest;
	*at = '\0';
	*rest = at + 1;
	char *colon = strchr(proxy->user, ':');
	if (colon)
		*colon = '\0';
	proxy->password = colon ? colon + 1 : at; /* the end of the text: empty */
	if (!decode(proxy->user) || !decode(proxy->password))
		return refuse(error, size, "has a % in user or password that is no %XX");
	return proxy->user[0] ? 0 : refuse(error, size, "has an @ but no user");
}

static bool take_port(struct crew__dial_proxy *proxy, const char *text)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port = digits > 0 && digits <= PORT_DIGITS ? strtoul(text, NULL, 10) : 0;
	if (strcmp(text + digits, "/") != 0 && text[digits] != '\0')
		return false;
	proxy->port = (uint16_t)port;
	return port > 0 && port <= UINT16_MAX;
}

static int take_host(struct crew__dial_proxy *proxy, char *rest, char *error, size_t size)
{
	char *end;
	if (rest[0] == '[') {
		proxy->host = rest + 1;
		end = strchr(rest, ']');
		if (!end)
			return refuse(error, size, "has a bracket that is not closed");
		*end++ = '\0';
	} else {
		proxy->host = rest;
		end = strchr(rest, ':');
	}
	if (!end || *end != ':')
		return refuse(error, size, "has no port");
	*end = '\0';
	if (proxy->host[0] == '\0' || strlen(proxy->host) > CREW__HOST_MOST)
		return refuse(error, size, "has no host, or one that is too long");
	return take_port(proxy, end + 1) ? 0 : refuse(error, size, "has a port that is none");
}

static int take_kind(struct crew__dial_proxy *proxy, const struct crew__preamble *const *kinds,
	char **ret_rest, char *error, size_t size)
{
	char *end = strstr(proxy->text, "://");
	if (!end)
		return refuse(error, size, "has no scheme");
	*end = '\0';
	*ret_rest = end + 3;
	for (; kinds && *kinds; kinds++) {
		if (strcmp((*kinds)->scheme, proxy->text) != 0)
			continue;
		proxy->kind = *kinds;
		return 0;
	}
	return refuse(error, size, "has a scheme that no proxy here has");
}

static int parse(struct crew__dial_proxy *proxy, const struct crew__preamble *const *kinds,
	char *ret_error, size_t error_size)
{
	char *rest;
	int error = take_kind(proxy, kinds, &rest, ret_error, error_size);
	if (!error)
		error = take_user(proxy, &rest, ret_error, error_size);
	return error ? error : take_host(proxy, rest, ret_error, error_size);
}

/* ---- its life ------------------------------------------------------------------------------ */

int crew__dial_proxy_new(const char *url, const struct crew__preamble *const *kinds,
	struct crew__dial_proxy **ret_proxy, char *ret_error, size_t error_size)
{
	struct crew__dial_proxy *proxy = calloc(1, sizeof(*proxy));
	if (!proxy)
		return -ENOMEM;
	proxy->source.fd = -1;
	crew__buf_init(&proxy->in, CREW__PREAMBLE_MOST + CHUNK);
	crew__buf_init(&proxy->out, SAID_MOST);
	proxy->text_size = strlen(url) + 1;
	proxy->text = strdup(url);
	int error = proxy->text ? parse(proxy, kinds, ret_error, error_size) : -ENOMEM;
	if (error)
		crew__dial_proxy_free(proxy);
	else
		*ret_proxy = proxy;
	return error;
}

void crew__dial_proxy_free(struct crew__dial_proxy *proxy)
{
	if (!proxy)
		return;
	if (proxy->out.data)
		explicit_bzero(proxy->out.data, proxy->out.cap);
	if (proxy->text)
		explicit_bzero(proxy->text, proxy->text_size);
	crew__buf_release(&proxy->in);
	crew__buf_release(&proxy->out);
	free(proxy->text);
	free(proxy);
}

int crew__dial_proxy_prepare(struct crew__dial *dial, char *ret_error, size_t error_size)
{
	struct crew__dial_proxy *proxy = dial->proxy;
	proxy->talk = (struct crew__preamble_talk){
		.kind = proxy->kind,
		.ask = { .host = dial->host,
			.port = dial->port,
			.user = proxy->user,
			.password = proxy->password },
	};
	/* All of it beforehand: growing would leave copies behind that nobody wipes. */
	int error = crew__buf_reserve(&proxy->out, SAID_MOST);
	if (!error)
		error = proxy->kind->begin(&proxy->talk, &proxy->out);
	if (error == -EINVAL)
		snprintf(ret_error, error_size, "a proxy of %s:// %s", proxy->kind->scheme,
			proxy->talk.why);
	return error;
}

/* ---- the talk ------------------------------------------------------------------------------ */

static void fail(struct crew__dial *dial, int error, const char *what)
{
	char why[CREW__DIAL_WHY_MAX];
	crew__dial_say_proxy(dial, what, why);
	crew__dial_finish(dial, error, why, (crew_bytes){ NULL, 0 });
}

static void fail_errno(struct crew__dial *dial, int error)
{
	char what[128];
	snprintf(what, sizeof(what), "broke the connection: %s", strerror(-error));
	fail(dial, error, what);
}

/* Say what is left to be said. False: the dial is over. */
static bool say(struct crew__dial *dial)
{
	struct crew__dial_proxy *proxy = dial->proxy;
	ssize_t n = 0;
	if (proxy->out.len > 0)
		n = send(proxy->source.fd, proxy->out.data, proxy->out.len, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		fail_errno(dial, -errno);
		return false;
	}
	if (n > 0)
		crew__buf_consume(&proxy->out, (size_t)n);
	int error = crew__loop_mod(
		dial->loop, &proxy->source, CREW__READ | (proxy->out.len > 0 ? CREW__WRITE : 0));
	if (error)
		fail_errno(dial, error);
	return !error;
}

/* The way is free: what is there already is the peer's. */
static void finish(struct crew__dial *dial)
{
	struct crew__dial_proxy *proxy = dial->proxy;
	int fd = proxy->source.fd;
	crew__loop_remove(dial->loop, &proxy->source);
	crew__dial_finish(dial, fd, NULL, (crew_bytes){ proxy->in.data, proxy->in.len });
}

static void hear(struct crew__dial *dial)
{
	struct crew__dial_proxy *proxy = dial->proxy;
	size_t used = 0;
	int result = proxy->kind->feed(
		&proxy->talk, (crew_bytes){ proxy->in.data, proxy->in.len }, &used, &proxy->out);
	crew__buf_consume(&proxy->in, used);
	if (result == 1)
		finish(dial);
	else if (result == -ENOMEM || result == -ENOBUFS)
		fail(dial, -ENOMEM, "could not be answered: out of memory");
	else if (result < 0)
		fail(dial, result, proxy->talk.why);
	else
		say(dial);
}

static void on_proxy(struct crew__source *source, unsigned events)
{
	struct crew__dial_proxy *proxy = crew__container_of(
		source, struct crew__dial_proxy, source);
	struct crew__dial *dial = proxy->dial;
	if ((events & CREW__WRITE) && !say(dial))
		return;
	if (!(events & (CREW__READ | CREW__HUP | CREW__ENDED)))
		return;
	if (crew__buf_reserve(&proxy->in, CHUNK)) {
		fail(dial, -ENOMEM, "could not be heard: out of memory");
		return;
	}
	ssize_t n = recv(source->fd, proxy->in.data + proxy->in.len, CHUNK, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		fail_errno(dial, -errno);
	} else if (n == 0) {
		fail(dial, -ECONNRESET, "closed the connection without letting us through");
	} else {
		proxy->in.len += (uint32_t)n;
		hear(dial);
	}
}

void crew__dial_proxy_talk(struct crew__dial *dial, int take_fd)
{
	struct crew__dial_proxy *proxy = dial->proxy;
	dial->state = CREW__DIAL_TALKING;
	proxy->dial = dial;
	proxy->source.fn = on_proxy;
	proxy->source.fd = take_fd;
	int error = crew__loop_add(dial->loop, &proxy->source, CREW__READ);
	if (!error) {
		say(dial);
		return;
	}
	proxy->source.fd = -1;
	close(take_fd);
	fail_errno(dial, error);
}
