/* origin.c - see origin.h. */
#include "web/origin.h"

#include "proto/http1.h"

#include <string.h>

struct origin {
	crew_bytes scheme, host, port; /* port empty: the scheme's own */
};

static const struct {
	crew_bytes scheme, port;
} own_ports[] = {
	{ { "http", 4 }, { "80", 2 } },
	{ { "https", 5 }, { "443", 3 } },
	{ { "ws", 2 }, { "80", 2 } },
	{ { "wss", 3 }, { "443", 3 } },
};

static bool is_own_port(crew_bytes scheme, crew_bytes port)
{
	for (size_t i = 0; i < crew__lengthof(own_ports); i++)
		if (crew__http_same(scheme, own_ports[i].scheme))
			return crew__http_same(port, own_ports[i].port);
	return false;
}

/* RFC 3986 section 3.1. */
static bool is_scheme(crew_bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i], lower = (char)(c | 0x20);
		bool letter = lower >= 'a' && lower <= 'z';
		bool later = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
		if (!letter && (i == 0 || !later))
			return false;
	}
	return text.len > 0;
}

/* As browsers write them: names of other scripts come as Punycode. A host in brackets is an IPv6
 * address, the one place for colons. */
static bool is_host(crew_bytes text)
{
	bool brackets = text.len > 2 && text.data[0] == '[' && text.data[text.len - 1] == ']';
	size_t from = brackets ? 1 : 0, to = brackets ? text.len - 1 : text.len;
	for (size_t i = from; i < to; i++) {
		char c = text.data[i], lower = (char)(c | 0x20);
		bool letter = lower >= 'a' && lower <= 'z', digit = c >= '0' && c <= '9';
		bool mark = c == '.' || (brackets ? c == ':' : c == '-' || c == '_');
		if (!letter && !digit && !mark)
			return false;
	}
	return text.len > 0;
}

static bool is_port(crew_bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	return text.len > 0 && text.len <= 5;
}

static bool split_host(crew_bytes text, crew_bytes *ret_host, crew_bytes *ret_port)
{
	const char *colon = text.len ? memrchr(text.data, ':', text.len) : NULL;
	*ret_host = text;
	*ret_port = (crew_bytes){ NULL, 0 };
	if (colon && text.data[text.len - 1] != ']') {
		ret_host->len = (size_t)(colon - text.data);
		*ret_port = (crew_bytes){ colon + 1, text.len - ret_host->len - 1 };
		if (!is_port(*ret_port))
			return false;
	}
	return is_host(*ret_host);
}

static bool parse(crew_bytes text, struct origin *ret_origin)
{
	const char *mark = text.len ? memmem(text.data, text.len, "://", 3) : NULL;
	if (!mark)
		return false;
	size_t scheme = (size_t)(mark - text.data);
	struct origin o = { .scheme = { text.data, scheme } };
	crew_bytes rest = { mark + 3, text.len - scheme - 3 };
	if (!is_scheme(o.scheme) || !split_host(rest, &o.host, &o.port))
		return false;
	if (is_own_port(o.scheme, o.port))
		o.port.len = 0;
	*ret_origin = o;
	return true;
}

static bool is_null(crew_bytes text)
{
	return text.len == 4 && memcmp(text.data, "null", 4) == 0;
}

static bool same(const struct origin *a, const struct origin *b)
{
	return crew__http_same(a->host, b->host) && crew__http_same(a->scheme, b->scheme) &&
	       crew__http_same(a->port, b->port);
}

/* The next word of a list; empty at its end. */
static crew_bytes next_word(const char **at)
{
	const char *start = *at + strspn(*at, " ");
	size_t len = strcspn(start, " ");
	*at = start + len;
	return (crew_bytes){ start, len };
}

bool crew__origins_any(const char *list)
{
	return list && strcmp(list, "*") == 0;
}

int crew__origins_check(const char *list, crew_bytes *ret_wrong)
{
	struct origin origin;
	if (!list || crew__origins_any(list))
		return 0;
	for (crew_bytes word = next_word(&list); word.len > 0; word = next_word(&list)) {
		if (!is_null(word) && !parse(word, &origin)) {
			*ret_wrong = word;
			return -EINVAL;
		}
	}
	return 0;
}

bool crew__origins_hold(const char *list, crew_bytes text)
{
	struct origin asked, listed;
	if (!list)
		return false;
	if (crew__origins_any(list))
		return true;
	bool null = is_null(text);
	if (!null && !parse(text, &asked))
		return false;
	for (crew_bytes word = next_word(&list); word.len > 0; word = next_word(&list)) {
		if (null ? is_null(word) : parse(word, &listed) && same(&asked, &listed))
			return true;
	}
	return false;
}

bool crew__origin_is_host(crew_bytes text, crew_bytes host)
{
	struct origin asked, own;
	if (!parse(text, &asked) || !split_host(host, &own.host, &own.port))
		return false;
	if (is_own_port(asked.scheme, own.port))
		own.port.len = 0;
	own.scheme = asked.scheme;
	return same(&asked, &own);
}
