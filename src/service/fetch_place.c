#include "service/fetch_place.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int refuse(char *why, const char *sentence)
{
	snprintf(why, CREW__FETCH_WHY, "%s", sentence);
	return -EINVAL;
}

static int refuse_url(char *why, CURLUcode code)
{
	if (code == CURLUE_OUT_OF_MEMORY)
		return -ENOMEM;
	snprintf(why, CREW__FETCH_WHY, "the URL cannot be read: %s", curl_url_strerror(code));
	return -EINVAL;
}

/* One part as a string of our own; `*ret_part` NULL when it has none. */
static int get_part(
	CURLU *u, CURLUPart part, CURLUcode none, unsigned flags, char **ret_part, char *why)
{
	char *text = NULL;
	CURLUcode code = curl_url_get(u, part, &text, flags);
	*ret_part = NULL;
	if (code == none)
		return 0;
	if (code)
		return refuse_url(why, code);
	*ret_part = strdup(text);
	curl_free(text);
	return *ret_part ? 0 : -ENOMEM;
}

/* ---- the host ------------------------------------------------------------------------------ */

static bool is_name(const char *host)
{
	size_t len = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789.-_");
	return len > 0 && len <= 253 && !host[len];
}

static int take_host(CURLU *u, struct crew__fetch_place *place, char *why)
{
	int error = get_part(u, CURLUPART_HOST, CURLUE_NO_HOST, 0, &place->host, why);
	if (error)
		return error;
	if (!place->host)
		return refuse(why, "the URL names no host");
	size_t len = strlen(place->host);
	if (len > 2 && place->host[0] == '[' && place->host[len - 1] == ']') {
		memmove(place->host, place->host + 1, len - 2);
		place->host[len - 2] = '\0';
		place->six = true;
	} else if (!is_name(place->host)) {
		return refuse(why, "the URL's host is no name of letters, digits, dots and hyphens "
				   "(international names are written as xn--...)");
	}
	return 0;
}

static int take_port(CURLU *u, unsigned flags, struct crew__fetch_place *place, char *why)
{
	char *text;
	int error = get_part(u, CURLUPART_PORT, CURLUE_NO_PORT, flags, &text, why);
	if (error)
		return error;
	unsigned long port = text ? strtoul(text, NULL, 10) : 0;
	free(text);
	if (port == 0 || port > UINT16_MAX)
		return refuse(why, "the URL has no port between 1 and 65535");
	place->port = (uint16_t)port;
	return 0;
}

static int take_user(CURLU *u, struct crew__fetch_place *place, char *why)
{
	int error = get_part(u, CURLUPART_USER, CURLUE_NO_USER, CURLU_URLDECODE, &place->user, why);
	if (!error)
		error = get_part(u, CURLUPART_PASSWORD, CURLUE_NO_PASSWORD, CURLU_URLDECODE,
			&place->password, why);
	return error;
}

/* What must not be sent, logged or told. */
static int strip(CURLU *u, char *why)
{
	static const CURLUPart parts[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS,
		CURLUPART_FRAGMENT };
	for (size_t i = 0; i < crew__lengthof(parts); i++) {
		CURLUcode code = curl_url_set(u, parts[i], NULL, 0);
		if (code)
			return refuse_url(why, code);
	}
	return 0;
}

static int take_scheme(CURLU *u, const char *plain, const char *other, bool *ret_other, char *why)
{
	char *scheme;
	int error = get_part(u, CURLUPART_SCHEME, CURLUE_NO_SCHEME, 0, &scheme, why);
	if (error)
		return error;
	*ret_other = scheme && strcasecmp(scheme, other) == 0;
	bool known = *ret_other || (scheme && strcasecmp(scheme, plain) == 0);
	free(scheme);
	if (known)
		return 0;
	snprintf(why, CREW__FETCH_WHY, "the URL begins neither with %s:// nor with %s://", plain,
		other);
	return -EINVAL;
}

/* ---- places -------------------------------------------------------------------------------- */

static int read_place(CURLU *u, bool relative, struct crew__fetch_place *place, char *why)
{
	int error = take_scheme(u, "http", "https", &place->tls, why);
	if (!error)
		error = take_host(u, place, why);
	if (!error)
		error = take_port(u, CURLU_DEFAULT_PORT, place, why);
	if (!error && !relative)
		error = take_user(u, place, why);
	if (!error)
		error = strip(u, why);
	if (!error)
		error = get_part(u, CURLUPART_URL, CURLUE_LAST, 0, &place->url, why);
	return error;
}

/* A proxy has no path; the scheme that libcurl is told lets a SOCKS proxy look names up. */
static int read_proxy(CURLU *u, struct crew__fetch_place *place, char *why)
{
	int error = take_scheme(u, "http", "socks5", &place->socks, why);
	if (!error)
		error = take_host(u, place, why);
	if (!error)
		error = take_port(u, 0, place, why);
	if (!error)
		error = take_user(u, place, why);
	if (error)
		return error;
	const char *scheme = place->socks ? "socks5h" : "http";
	const char *before = place->six ? "[" : "", *behind = place->six ? "]" : "";
	char *url;
	if (asprintf(&url, "%s://%s%s%s:%u", scheme, before, place->host, behind, place->port) < 0)
		return -ENOMEM;
	place->url = url;
	return 0;
}

static int check_text(const char *text, char *why)
{
	if (!text || !text[0])
		return refuse(why, "there is no URL");
	if (strlen(text) > CREW__FETCH_URL_MOST)
		return refuse(why, "the URL is longer than 16 KiB");
	return 0;
}

static CURLUcode set_both(CURLU *u, const char *text, const struct crew__fetch_place *base)
{
	CURLUcode code = base ? curl_url_set(u, CURLUPART_URL, base->url, 0) : CURLUE_OK;
	/* Servers write blanks and other bytes into a Location that should have been escaped. */
	unsigned flags = base ? CURLU_URLENCODE | CURLU_ALLOW_SPACE : 0;
	return code ? code : curl_url_set(u, CURLUPART_URL, text, flags);
}

int crew__fetch_place_parse(const char *text, const struct crew__fetch_place *base,
	struct crew__fetch_place *ret_place, char *why)
{
	int error = check_text(text, why);
	if (error)
		return error;
	CURLU *u = curl_url();
	if (!u)
		return -ENOMEM;
	struct crew__fetch_place place = { 0 };
	CURLUcode code = set_both(u, text, base);
	error = code ? refuse_url(why, code) : read_place(u, base, &place, why);
	curl_url_cleanup(u);
	if (error)
		crew__fetch_place_fini(&place);
	else
		*ret_place = place;
	return error;
}

int crew__fetch_proxy_parse(const char *text, struct crew__fetch_place *ret_place, char *why)
{
	int error = check_text(text, why);
	if (error)
		return error;
	CURLU *u = curl_url();
	if (!u)
		return -ENOMEM;
	struct crew__fetch_place place = { 0 };
	CURLUcode code = curl_url_set(u, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
	error = code ? refuse_url(why, code) : read_proxy(u, &place, why);
	curl_url_cleanup(u);
	if (error)
		crew__fetch_place_fini(&place);
	else
		*ret_place = place;
	return error;
}

void crew__fetch_place_fini(struct crew__fetch_place *place)
{
	free(place->url);
	free(place->host);
	free(place->user);
	free(place->password);
	*place = (struct crew__fetch_place){ 0 };
}

bool crew__fetch_same_origin(const struct crew__fetch_place *a, const struct crew__fetch_place *b)
{
	return a->tls == b->tls && a->port == b->port && strcasecmp(a->host, b->host) == 0;
}
