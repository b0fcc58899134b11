/* http1_target.c - the rarer forms of a request target (RFC 9112 3.2), and what a host is.
 *
 * Not here: the origin form (http1_head.c), percent-decoding and path normalisation (the program
 * sees the path as it came). */
#include "proto/http1_parts.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* `[` IPv6 `]`. Returns the byte behind it, NULL when it is none. */
static const char *skip_ipv6(const char *at, const char *end)
{
	char text[INET6_ADDRSTRLEN];
	const char *bracket = memchr(at, ']', (size_t)(end - at));
	if (!bracket || (size_t)(bracket - at) > sizeof(text))
		return NULL;
	size_t len = (size_t)(bracket - at) - 1;
	memcpy(text, at + 1, len);
	text[len] = '\0';
	struct in6_addr address;
	return inet_pton(AF_INET6, text, &address) == 1 ? bracket + 1 : NULL;
}

static const char *skip_name(const char *at, const char *end, const char *readable)
{
	const char *start = at;
	for (;;) {
		at = crew__http_skip_plain(at, readable, CREW__HTTP_HOST);
		if (crew__likely(at == end || *at != '%'))
			break;
		if (end - at < 3 || !is_hex(at[1]) || !is_hex(at[2]))
			return NULL;
		at += 3;
	}
	return at > start ? at : NULL;
}

/* At most five digits, up to 65535; none is allowed by RFC 3986. */
static bool is_port(const char *at, const char *end)
{
	if (end - at > 5)
		return false;
	unsigned port = 0;
	for (; at < end; at++) {
		unsigned digit = (unsigned)(unsigned char)*at - '0';
		if (digit > 9)
			return false;
		port = port * 10 + digit;
	}
	return port <= 65535;
}

bool crew__http1_host(crew_bytes host, const char *readable)
{
	if (host.len == 0)
		return false;
	const char *end = host.data + host.len;
	const char *at = *host.data == '[' ? skip_ipv6(host.data, end)
					   : skip_name(host.data, end, readable);
	if (!at)
		return false;
	return at == end || (*at == ':' && is_port(at + 1, end));
}

/* "http://" or "https://": its length, or 0. */
static size_t scheme_length(crew_bytes target)
{
	static const crew_bytes schemes[] = { { "http://", 7 }, { "https://", 8 } };
	for (size_t i = 0; i < crew__lengthof(schemes); i++) {
		crew_bytes start = { target.data, crew__min(target.len, schemes[i].len) };
		if (crew__http_same(start, schemes[i]))
			return schemes[i].len;
	}
	return 0;
}

/* http://HOST:PORT/path?query */
static bool absolute_form(crew_request *r)
{
	size_t scheme = scheme_length(r->target);
	if (scheme == 0 || r->path.len < scheme)
		return false;
	crew_bytes rest = { r->path.data + scheme, r->path.len - scheme };
	const char *slash = rest.len ? memchr(rest.data, '/', rest.len) : NULL;
	size_t authority = slash ? (size_t)(slash - rest.data) : rest.len;
	r->host = (crew_bytes){ rest.data, authority };
	r->path = slash ? (crew_bytes){ slash, rest.len - authority } : CREW_BYTES("/");
	return crew__http1_host(r->host, r->host.data + authority);
}

/* HOST:PORT, for CONNECT, which has neither path nor query. */
static bool authority_form(const crew_request *r)
{
	const char *end = r->target.data + r->target.len;
	if (r->path.len != r->target.len || !crew__http1_host(r->target, end))
		return false;
	char last = end[-1];
	return last >= '0' && last <= '9' && memrchr(r->target.data, ':', r->target.len);
}

static bool is_method(const crew_request *r, const char *name)
{
	return r->method.len == strlen(name) && memcmp(r->method.data, name, r->method.len) == 0;
}

int crew__http1_target(crew_request *r)
{
	if (is_method(r, "CONNECT"))
		return authority_form(r) ? 501 : 400;
	if (r->target.len == 1 && *r->target.data == '*')
		return is_method(r, "OPTIONS") ? 0 : 400;
	return absolute_form(r) ? 0 : 400;
}
