/* url.c - reading it, from left to right; each part knows where it ends before it is looked into.
 */
#include "net/url.h"

#include "base/complaint.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define HEX    DIGITS "abcdefABCDEF"
#define NAME   LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_."

enum {
	WS_PORT = 80,
	WSS_PORT = 443,
	PORT_DIGITS = 5,
	PORT_MOST = 65535,
};

static bool is(crew_bytes text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

static bool made_of(crew_bytes text, const char *bytes)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '\0' || !strchr(bytes, text.data[i]))
			return false;
	return text.len > 0;
}

/* `to` has room for `most` bytes and a NUL. False: they are more. */
static bool keep(char *to, crew_bytes text, size_t most)
{
	if (text.len > most)
		return false;
	if (text.len > 0)
		memcpy(to, text.data, text.len);
	to[text.len] = '\0';
	return true;
}

/* Up to the byte, which is taken away too, or all. */
static crew_bytes cut_at(crew_bytes *rest, char byte)
{
	const char *end = rest->len > 0 ? memchr(rest->data, byte, rest->len) : NULL;
	crew_bytes part = { rest->data, end ? (size_t)(end - rest->data) : rest->len };
	size_t used = part.len + (end != NULL);
	*rest = (crew_bytes){ rest->data + used, rest->len - used };
	return part;
}

/* ---- scheme -------------------------------------------------------------------------------- */

/* One of the words that say how it travels; once each. */
static bool take_way(struct crew__url *url, crew_bytes word)
{
	bool *way = is(word, "tls")    ? &url->tls
		    : is(word, "unix") ? &url->unix_socket
		    : is(word, "udp")  ? &url->udp
				       : NULL;
	if (!way || *way)
		return false;
	*way = true;
	return true;
}

static int read_scheme(
	crew_bytes text, struct crew__url *url, const struct crew__complaint *complaint)
{
	crew_bytes rest = text, word = cut_at(&rest, '+');
	bool more = word.len < text.len;
	if (!made_of(word, LOWER DIGITS) || word.len > CREW__URL_SCHEME)
		return crew__complain(complaint, -EINVAL,
			"its scheme \"%.*s\" is none: lower-case letters and "
			"digits are expected before ://",
			(int)crew__min(text.len, 40), text.data);
	if (take_way(url, word)) {
		word = CREW_BYTES("tcp");
	} else if (is(word, "wss")) {
		word = CREW_BYTES("ws");
		url->tls = true;
	}
	keep(url->scheme, word, CREW__URL_SCHEME);
	while (more) {
		size_t before = rest.len;
		word = cut_at(&rest, '+');
		more = word.len < before;
		if (!take_way(url, word))
			return crew__complain(complaint, -EINVAL,
				"\"%.*s\" in its scheme is unknown, or there twice: tls, unix and "
				"udp are what may follow a +",
				(int)crew__min(word.len, 40), word.data);
	}
	if (url->udp && (url->tls || url->unix_socket))
		return crew__complain(complaint, -EINVAL, "udp goes with neither tls nor unix");
	return 0;
}

/* ---- host and port ------------------------------------------------------------------------- */

/* ADDRESS, ADDRESS%ZONE, or ADDRESS%25ZONE as RFC 6874 writes it. */
static int read_six(crew_bytes text, struct crew__url *url, const struct crew__complaint *complaint)
{
	struct in6_addr address;
	crew_bytes zone = text, bare = cut_at(&zone, '%');
	bool has_zone = bare.len < text.len;
	char number[INET6_ADDRSTRLEN];
	if (zone.len >= 2 && memcmp(zone.data, "25", 2) == 0)
		zone = (crew_bytes){ zone.data + 2, zone.len - 2 };
	bool good = keep(number, bare, sizeof(number) - 1) &&
		    inet_pton(AF_INET6, number, &address) == 1;
	if (!good || (has_zone && (!made_of(zone, NAME) || zone.len >= IF_NAMESIZE)))
		return crew__complain(complaint, -EINVAL, "\"%.*s\" in brackets is no IPv6 address",
			(int)crew__min(text.len, 60), text.data);
	snprintf(url->host, sizeof(url->host), "%s%s%.*s", number, has_zone ? "%" : "",
		has_zone ? (int)zone.len : 0, has_zone ? zone.data : "");
	url->six = true;
	url->numeric = true;
	return 0;
}

/* Whose last label is a number is meant as an address (and 127.1 is read differently by different
 * readers): it must be one in full. */
static bool ends_in_number(const char *host)
{
	const char *label = strrchr(host, '.');
	label = label ? label + 1 : host;
	return label[0] != '\0' && strspn(label, DIGITS) == strlen(label);
}

static bool has_hex_prefix(const char *host)
{
	const char *label = strrchr(host, '.');
	label = label ? label + 1 : host;
	return label[0] == '0' && (label[1] | 0x20) == 'x' &&
	       strspn(label + 2, HEX) == strlen(label + 2);
}

static int read_name(
	crew_bytes text, struct crew__url *url, const struct crew__complaint *complaint)
{
	struct in_addr address;
	if (text.len == 0)
		return crew__complain(complaint, -EINVAL, "it names no host");
	if (memchr(text.data, ':', text.len))
		return crew__complain(complaint, -EINVAL,
			"an IPv6 address stands in brackets: [%.*s]", (int)crew__min(text.len, 60),
			text.data);
	if (!made_of(text, NAME) || !keep(url->host, text, CREW__URL_HOST) || text.data[0] == '.' ||
		text.data[0] == '-' || memmem(text.data, text.len, "..", 2))
		return crew__complain(complaint, -EINVAL,
			"its host \"%.*s\" is neither a name nor an address",
			(int)crew__min(text.len, 60), text.data);
	url->numeric = inet_pton(AF_INET, url->host, &address) == 1;
	if (!url->numeric && (ends_in_number(url->host) || has_hex_prefix(url->host)))
		return crew__complain(complaint, -EINVAL,
			"its host \"%.60s\" is no IPv4 address in full (127.0.0.1)", url->host);
	return 0;
}

static int read_port(
	crew_bytes text, struct crew__url *url, const struct crew__complaint *complaint)
{
	char digits[PORT_DIGITS + 1];
	if (!made_of(text, DIGITS) || !keep(digits, text, PORT_DIGITS))
		return crew__complain(complaint, -EINVAL,
			"its port \"%.*s\" is no number from 1 to %d", (int)crew__min(text.len, 20),
			text.data, PORT_MOST);
	long port = strtol(digits, NULL, 10);
	if (port < 1 || port > PORT_MOST)
		return crew__complain(complaint, -EINVAL, "its port %ld is no number from 1 to %d",
			port, PORT_MOST);
	url->port = (uint16_t)port;
	return 0;
}

static uint16_t usual_port(const struct crew__url *url)
{
	if (strcmp(url->scheme, "ws") != 0)
		return 0;
	return url->tls ? WSS_PORT : WS_PORT;
}

/* HOST, HOST:PORT, [SIX], [SIX]:PORT. */
static int read_authority(
	crew_bytes text, struct crew__url *url, const struct crew__complaint *complaint)
{
	crew_bytes host = text, port = { NULL, 0 };
	bool six = text.len > 0 && text.data[0] == '[';
	if (text.len > 0 && memchr(text.data, '@', text.len))
		return crew__complain(complaint, -EINVAL,
			"it holds a user before @; what proves who we are goes "
			"into the options (headers, tls_cert)");
	const char *end = six ? memchr(text.data, ']', text.len) : NULL;
	if (six && !end)
		return crew__complain(complaint, -EINVAL, "the bracket of its host does not close");
	size_t skip = end ? (size_t)(end - text.data) : 0;
	const char *colon = text.len > skip ? memrchr(text.data + skip, ':', text.len - skip)
					    : NULL;
	if (end && end + 1 != text.data + text.len && colon != end + 1)
		return crew__complain(
			complaint, -EINVAL, "behind the bracket of its host only :PORT may stand");
	if (colon) {
		host.len = (size_t)(colon - text.data);
		port = (crew_bytes){ colon + 1, text.len - host.len - 1 };
	}
	int error = six ? read_six((crew_bytes){ text.data + 1, (size_t)(end - text.data - 1) },
				  url, complaint)
			: read_name(host, url, complaint);
	if (error)
		return error;
	if (colon)
		error = read_port(port, url, complaint);
	else
		url->port = usual_port(url);
	if (!error && url->port == 0)
		return crew__complain(complaint, -EINVAL,
			"it names no port, and %s has none of its own", url->scheme);
	url->usual_port = url->port == usual_port(url);
	return error;
}

/* ---- the rest ------------------------------------------------------------------------------ */

/* /path, @name; of a WebSocket the request's target may follow a colon. */
static int read_socket_path(
	crew_bytes text, struct crew__url *url, const struct crew__complaint *complaint)
{
	bool ws = strcmp(url->scheme, "ws") == 0;
	crew_bytes target = { text.data + text.len, 0 };
	crew_bytes path = text;
	if (ws) {
		target = text;
		path = cut_at(&target, ':');
	}
	if (path.len < 2 || (path.data[0] != '/' && path.data[0] != '@'))
		return crew__complain(complaint, -EINVAL,
			"the path of its Unix socket must be absolute "
			"(unix:///run/x.sock), or an abstract name (unix://@x)");
	if (!keep(url->path, path, CREW__URL_PATH + (path.data[0] == '@')))
		return crew__complain(complaint, -EINVAL,
			"the path of its Unix socket is longer than %d bytes", CREW__URL_PATH);
	if (ws && path.len < text.len && (target.len == 0 || target.data[0] != '/'))
		return crew__complain(complaint, -EINVAL,
			"behind the colon the path to ask for is expected, beginning with /");
	url->target = ws && target.len == 0 ? CREW_BYTES("/") : target;
	return 0;
}

static int read_target(
	crew_bytes text, struct crew__url *url, const struct crew__complaint *complaint)
{
	if (strcmp(url->scheme, "ws") == 0) {
		url->target = text.len > 0 ? text : CREW_BYTES("/");
		if (url->target.data[0] == '/')
			return 0;
		return crew__complain(complaint, -EINVAL,
			"before a query there must be a path: write /%.*s",
			(int)crew__min(text.len, 40), text.data);
	}
	if (text.len == 0 || is(text, "/"))
		return 0;
	return crew__complain(
		complaint, -EINVAL, "behind the port nothing may follow: only ws has a path");
}

static int read_where(
	crew_bytes rest, struct crew__url *url, const struct crew__complaint *complaint)
{
	if (url->unix_socket)
		return read_socket_path(rest, url, complaint);
	size_t len = 0;
	while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '?')
		len++;
	int error = read_authority((crew_bytes){ rest.data, len }, url, complaint);
	if (error)
		return error;
	return read_target((crew_bytes){ rest.data + len, rest.len - len }, url, complaint);
}

int crew__url_parse(const char *text, struct crew__url *ret_url, char *ret_error, size_t error_size)
{
	const struct crew__complaint complaint = { ret_error, error_size };
	size_t len = 0;
	while (len <= CREW__URL_MOST && text[len] != '\0')
		len++;
	if (len > CREW__URL_MOST)
		return crew__complain(
			&complaint, -EINVAL, "it is longer than %d bytes", CREW__URL_MOST);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f)
			return crew__complain(&complaint, -EINVAL,
				"its byte %zu is a blank, a control character or "
				"not ASCII; write it as %%XX",
				i + 1);
	if (memchr(text, '#', len))
		return crew__complain(
			&complaint, -EINVAL, "it has a fragment (#), which no server ever sees");
	const char *mark = memmem(text, len, "://", 3);
	if (!mark)
		return crew__complain(
			&complaint, -EINVAL, "it is not of the form SCHEME://HOST:PORT");
	struct crew__url url = { .target = { NULL, 0 } };
	int error = read_scheme((crew_bytes){ text, (size_t)(mark - text) }, &url, &complaint);
	if (!error)
		error = read_where((crew_bytes){ mark + 3, len - (size_t)(mark + 3 - text) }, &url,
			&complaint);
	if (!error)
		*ret_url = url;
	return error;
}

size_t crew__url_authority(const struct crew__url *url, char *text, size_t size)
{
	char port[8] = "";
	if (url->unix_socket)
		return (size_t)snprintf(text, size, "localhost");
	if (!url->usual_port)
		snprintf(port, sizeof(port), ":%u", (unsigned)url->port);
	int len = (int)strcspn(url->host, "%");
	return (size_t)snprintf(text, size, url->six ? "[%.*s]%s" : "%.*s%s", len, url->host, port);
}
