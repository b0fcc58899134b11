/* fuzz_url.c - where outgoing connections go: what is taken can be written down and is read as the
 * same again, and nothing of it could get out of its place in a request. */
#include "fuzz.h"

#include "net/url.h"

#include <stdio.h>

static void check_safe(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		crew__must(text[i] > ' ' && text[i] < 0x7f);
}

/* SCHEME://AUTHORITY[TARGET] out of what was read. */
static void write_down(const struct crew__url *url, char *text, size_t size)
{
	const char *ways = url->tls && url->unix_socket ? "+tls+unix"
			   : url->tls                   ? "+tls"
			   : url->unix_socket           ? "+unix"
			   : url->udp                   ? "+udp"
							: "";
	bool ws = strcmp(url->scheme, "ws") == 0;
	bool tcp_by_way = !ws && ways[0];
	const char *scheme = tcp_by_way && strcmp(url->scheme, "tcp") == 0 ? ways + 1 : url->scheme;
	bool bare = scheme != url->scheme;
	const char *zone = strchr(url->host, '%');
	int host = zone ? (int)(zone - url->host) : (int)strlen(url->host);
	int target = ws ? (int)url->target.len : 0;
	if (url->unix_socket)
		snprintf(text, size, "%s%s://%s%s%.*s", scheme, bare ? "" : ways, url->path,
			ws ? ":" : "", target, url->target.data ? url->target.data : "");
	else
		snprintf(text, size, "%s%s://%s%.*s%s%s%s:%u%.*s", scheme, bare ? "" : ways,
			url->six ? "[" : "", host, url->host, zone ? "%25" : "",
			zone ? zone + 1 : "", url->six ? "]" : "", url->port, target,
			url->target.data ? url->target.data : "");
}

static void check_again(const struct crew__url *url)
{
	static char text[CREW__URL_MOST * 2], error[256];
	struct crew__url again;
	write_down(url, text, sizeof(text));
	if (strlen(text) > CREW__URL_MOST)
		return; /* a port that was left out */
	crew__must(crew__url_parse(text, &again, error, sizeof(error)) == 0);
	crew__must(strcmp(url->scheme, again.scheme) == 0 && strcmp(url->host, again.host) == 0);
	crew__must(strcmp(url->path, again.path) == 0 && url->port == again.port);
	crew__must(url->tls == again.tls && url->udp == again.udp && url->six == again.six);
	crew__must(url->unix_socket == again.unix_socket && url->numeric == again.numeric);
	crew__must(url->usual_port == again.usual_port && url->target.len == again.target.len);
	crew__must(url->target.len == 0 ||
		   memcmp(url->target.data, again.target.data, url->target.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char authority[CREW__URL_AUTHORITY], error[256] = "";
	char *text = malloc(size + 1);
	crew__must(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	struct crew__url url;
	int result = crew__url_parse(text, &url, error, sizeof(error));
	crew__must(result == 0 || (result == -EINVAL && error[0]));
	if (result == 0) {
		crew__must(url.unix_socket ? url.path[0] && !url.host[0] : url.host[0] && url.port);
		crew__must(crew__url_authority(&url, authority, sizeof(authority)) <
			   sizeof(authority));
		check_safe(authority, strlen(authority));
		check_safe(url.target.data, url.target.len);
		check_again(&url);
	}
	free(text);
	return 0;
}
