/* session_redis_url.c - reading it. */
#include "web/session_redis_url.h"

#include "web/percent.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TCP   "redis://"
#define LOCAL "redis+unix://"
#define FORM  "redis://[:PASSWORD@]HOST:PORT[/DB] or redis+unix://PATH[?db=DB]"

enum {
	PORT_MOST = 65535,
	DB_MOST = 1000000
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

bool crew__redis_url_is(const char *text)
{
	return begins(text, TCP) || begins(text, LOCAL);
}

/* Digits only, to the end. */
static bool read_number(const char *text, long most, int *ret_number)
{
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 9 || text[digits] != '\0')
		return false;
	long number = strtol(text, NULL, 10);
	if (number > most)
		return false;
	*ret_number = (int)number;
	return true;
}

static const char *read_password(crew_bytes coded, struct crew__redis_url *url)
{
	char room[sizeof(url->password)];
	if (coded.len >= sizeof(room))
		return "the password is too long";
	int64_t length = crew__percent_decode(coded, room, false);
	if (length < 0 || memchr(room, '\0', (size_t)length))
		return "the password is not percent-encoded rightly (% is %25)";
	memcpy(url->password, room, (size_t)length);
	url->password[length] = '\0';
	return NULL;
}

static const char *read_host(crew_bytes host, struct crew__redis_url *url)
{
	unsigned char address[sizeof(struct in6_addr)];
	bool six = host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
	if (six)
		host = (crew_bytes){ host.data + 1, host.len - 2 };
	if (host.len == 0 || host.len >= sizeof(url->host))
		return "the host is missing, or too long";
	memcpy(url->host, host.data, host.len);
	if (!six && strcmp(url->host, "localhost") == 0)
		snprintf(url->host, sizeof(url->host), "127.0.0.1");
	if (inet_pton(six ? AF_INET6 : AF_INET, url->host, address) != 1)
		return "the host must be an address (127.0.0.1, [::1]) or localhost: to look up a "
		       "name would stop the event loop";
	return NULL;
}

static const char *read_tcp(const char *rest, struct crew__redis_url *url)
{
	const char *at = strchr(rest, '@');
	const char *host = at ? at + 1 : rest, *error;
	if (at && *rest != ':')
		return "before the @ a password is expected, behind a colon";
	if (at && (error = read_password((crew_bytes){ rest + 1, (size_t)(at - rest - 1) }, url)))
		return error;
	const char *slash = strchr(host, '/');
	size_t length = slash ? (size_t)(slash - host) : strlen(host);
	const char *colon = memrchr(host, ':', length);
	char port[8] = "";
	if (!colon || colon == host)
		return "the port is missing (Redis' own is 6379)";
	snprintf(port, sizeof(port), "%.*s", (int)crew__min(length - (size_t)(colon + 1 - host), 7),
		colon + 1);
	if (!read_number(port, PORT_MOST, &url->port) || url->port == 0)
		return "the port must be a number from 1 to 65535";
	if (slash && !read_number(slash + 1, DB_MOST, &url->db))
		return "the database behind the / must be a number";
	return read_host((crew_bytes){ host, (size_t)(colon - host) }, url);
}

static const char *read_local(const char *rest, struct crew__redis_url *url)
{
	const char *query = strchr(rest, '?');
	size_t length = query ? (size_t)(query - rest) : strlen(rest);
	url->local = true;
	if (length == 0 || rest[0] != '/')
		return "the path of the socket must begin with /";
	if (length >= sizeof(url->host))
		return "the path of the socket is longer than 107 bytes";
	memcpy(url->host, rest, length);
	if (query && (!begins(query, "?db=") || !read_number(query + 4, DB_MOST, &url->db)))
		return "behind the path only ?db=NUMBER is expected";
	return NULL;
}

static void name_tcp(struct crew__redis_url *url)
{
	bool six = strchr(url->host, ':') != NULL;
	snprintf(url->name, sizeof(url->name), "%s%s%s:%d", six ? "[" : "", url->host,
		six ? "]" : "", url->port);
}

int crew__redis_url_parse(
	const char *text, struct crew__redis_url *ret_url, char *ret_error, size_t error_size)
{
	struct crew__redis_url url = { 0 };
	const char *error = "it is none of Redis";
	if (begins(text, TCP))
		error = read_tcp(text + strlen(TCP), &url);
	else if (begins(text, LOCAL))
		error = read_local(text + strlen(LOCAL), &url);
	if (error) { /* not the text itself: it may hold a password */
		snprintf(ret_error, error_size, "%s; the form is " FORM, error);
		return -EINVAL;
	}
	if (url.local)
		snprintf(url.name, sizeof(url.name), "%s", url.host);
	else
		name_tcp(&url);
	*ret_url = url;
	return 0;
}
