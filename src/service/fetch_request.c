#include "service/fetch_request.h"

#include "base/clock.h"
#include "proto/http1.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	METHOD_MOST = 32,
	HEADERS_MOST = 256,
	HEADER_BYTES = 64 * 1024,
	GATHERED_MOST = INT32_MAX
};

static const int64_t longest_ms = INT64_C(30) * 24 * 3600 * 1000;

static int __attribute__((format(printf, 2, 3))) refuse(char *why, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(why, CREW__FETCH_WHY, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* ---- fields -------------------------------------------------------------------------------- */

static bool is_one_of(const char *name, size_t len, const char *const *names)
{
	for (; *names; names++)
		if (strlen(*names) == len && strncasecmp(*names, name, len) == 0)
			return true;
	return false;
}

/* What libcurl says itself: said twice, two readers could take the request for two things. */
static const char *const not_the_programs[] = { "Content-Length", "Transfer-Encoding", "Connection",
	"Expect", "TE", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Connection",
	"Proxy-Authorization", NULL };

static int check_header(const crew_header *h, char *why)
{
	int shown = (int)crew__min(h->name.len, 40);
	if (!crew__http_token(h->name))
		return refuse(why, "a field's name is not of letters, digits and hyphens");
	if (is_one_of(h->name.data, h->name.len, not_the_programs))
		return refuse(
			why, "the field %.*s is not the program's to set", shown, h->name.data);
	if (h->value.len > 0 && !h->value.data)
		return refuse(why, "the field %.*s has no value", shown, h->name.data);
	if (!crew__http_field_value(h->value))
		return refuse(why, "the value of the field %.*s holds control bytes", shown,
			h->name.data);
	return 0;
}

static int add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);
	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

/* Blanks around a value mean nothing (RFC 9110 section 5.5), but "Name: " would leave it out. */
static int add_header(struct crew__fetch_request *request, const crew_header *h)
{
	crew_bytes value = crew__http_trim(h->value);
	char *line;
	int length = value.len > 0 ? asprintf(&line, "%.*s: %.*s", (int)h->name.len, h->name.data,
					     (int)value.len, value.data)
				   : asprintf(&line, "%.*s;", (int)h->name.len, h->name.data);
	if (length < 0)
		return -ENOMEM;
	int error = add_line(&request->headers, line);
	free(line);
	return error;
}

static int take_headers(struct crew__fetch_request *request, const crew_header *headers, char *why)
{
	size_t count = 0, bytes = 0;
	/* Without it libcurl waits a second before it sends a long body. */
	int error = add_line(&request->headers, "Expect:");
	for (; !error && headers && headers->name.data; headers++) {
		error = check_header(headers, why);
		if (error)
			return error;
		if (headers->value.len > HEADER_BYTES || headers->name.len > HEADER_BYTES)
			return refuse(why, "the fields are longer than 64 KiB");
		bytes += headers->name.len + headers->value.len;
		if (++count > HEADERS_MOST || bytes > HEADER_BYTES)
			return refuse(why, "there are more than 256 fields, or 64 KiB of them");
		error = add_header(request, headers);
	}
	return error;
}

/* Take out what stands in `names`, or begins with `prefix` (NULL: nothing does). */
static void drop_headers(
	struct crew__fetch_request *request, const char *const *names, const char *prefix)
{
	struct curl_slist **at = &request->headers;
	while (*at) {
		struct curl_slist *line = *at;
		size_t len = strcspn(line->data, ":;");
		bool begins = prefix && strncasecmp(line->data, prefix, strlen(prefix)) == 0;
		if (!begins && !is_one_of(line->data, len, names)) {
			at = &line->next;
			continue;
		}
		*at = line->next;
		line->next = NULL;
		curl_slist_free_all(line);
	}
}

/* ---- the body ------------------------------------------------------------------------------ */

static int open_file(struct crew__fetch_request *request, const char *path, char *why)
{
	struct stat status;
	request->file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (request->file < 0) {
		int error = errno;
		refuse(why, "cannot open the file %.150s: %s", path, strerror(error));
		return -error;
	}
	if (fstat(request->file, &status) < 0 || !S_ISREG(status.st_mode))
		return refuse(why, "%.150s is not a plain file", path);
	request->source = CREW__FROM_FILE;
	request->size = status.st_size;
	return 0;
}

static int take_body(
	struct crew__fetch_request *request, const crew_fetch_options *options, char *why)
{
	bool bytes = options->body.data != NULL;
	if (bytes + (options->body_file != NULL) + (options->on_upload != NULL) > 1)
		return refuse(why, "more than one of body, body_file and on_upload is given");
	if ((!bytes && options->body.len > 0) || options->body.len > GATHERED_MOST)
		return refuse(why, "the body has no bytes, or more than 2 GiB");
	if (options->upload_size < 0 || (options->upload_size > 0 && !options->on_upload))
		return refuse(why, "upload_size is negative, or there is no on_upload");
	if (options->body_file)
		return open_file(request, options->body_file, why);
	if (options->on_upload) {
		request->source = CREW__FROM_PROGRAM;
		request->size = options->upload_size > 0 ? options->upload_size : -1;
	} else if (bytes) {
		request->source = CREW__FROM_MEMORY;
		request->size = (int64_t)options->body.len;
		request->body = malloc(options->body.len + 1);
		if (!request->body)
			return -ENOMEM;
		memcpy(request->body, options->body.data, options->body.len);
	}
	return 0;
}

bool crew__fetch_rewind(struct crew__fetch_request *request)
{
	if (request->source == CREW__FROM_PROGRAM && request->sent > 0)
		return false;
	request->sent = 0;
	return true;
}

/* ---- the rest ------------------------------------------------------------------------------ */

static int take_method(
	struct crew__fetch_request *request, const crew_fetch_options *options, char *why)
{
	bool body = request->source != CREW__FROM_NOWHERE;
	const char *method = options->method ? options->method : body ? "POST" : "GET";
	if (strlen(method) > METHOD_MOST || !crew__http_token(crew_str(method)) ||
		strcmp(method, "CONNECT") == 0)
		return refuse(why, "that is no method of a request: %.40s", method);
	if (body && (strcmp(method, "HEAD") == 0 || strcmp(method, "TRACE") == 0))
		return refuse(why, "a %s has no body", method);
	request->method = strdup(method);
	return request->method ? 0 : -ENOMEM;
}

/* Milliseconds as they were given: 0 is the default, CREW_OFF none. */
static int take_time(int64_t given, int64_t fallback, uint64_t *ret_ns, const char *name, char *why)
{
	if (given < CREW_OFF || given > longest_ms)
		return refuse(why, "%s is not between 0 and 30 days", name);
	uint64_t ms = (uint64_t)(given == 0 ? fallback : given);
	*ret_ns = given == CREW_OFF ? UINT64_MAX : ms * CREW__NS_PER_MS;
	return 0;
}

static int take_limits(
	struct crew__fetch_request *request, const crew_fetch_options *options, char *why)
{
	int64_t most = options->max_body ? options->max_body : CREW__FETCH_BODY;
	if (most < 0 && (most != CREW_OFF || !options->on_body))
		return refuse(why, "max_body is negative (CREW_OFF needs on_body)");
	if (!options->on_body && most > GATHERED_MOST)
		return refuse(why, "max_body is more than 2 GiB; take the body by on_body");
	if (options->redirects < CREW_OFF || options->redirects > 1000)
		return refuse(why, "redirects is not between 0 and 1000");
	request->max_body = most == CREW_OFF ? INT64_MAX : most;
	request->follows = options->redirects != CREW_OFF;
	request->redirects = options->redirects ? options->redirects : CREW__FETCH_REDIRECTS;
	int error = take_time(
		options->timeout_ms, 60 * 1000, &request->timeout_ns, "timeout_ms", why);
	if (!error)
		error = take_time(options->connect_timeout_ms, 10 * 1000,
			&request->connect_timeout_ns, "connect_timeout_ms", why);
	return error;
}

/* False without memory; NULL stays. */
static bool copy(const char *text, char **ret_copy)
{
	*ret_copy = text ? strdup(text) : NULL;
	return !text || *ret_copy;
}

static int take_tls(
	struct crew__fetch_request *request, const crew_fetch_options *options, char *why)
{
	request->tls_insecure = options->tls_insecure;
	if (!options->tls_cert != !options->tls_key)
		return refuse(why, "tls_cert and tls_key are given together or not at all");
	bool done = copy(options->tls_ca, &request->tls_ca) &&
		    copy(options->tls_cert, &request->tls_cert) &&
		    copy(options->tls_key, &request->tls_key);
	return done ? 0 : -ENOMEM;
}

static int take_options(
	struct crew__fetch_request *request, const crew_fetch_options *options, char *why)
{
	request->compressed_as_is = options->compressed_as_is;
	int error = take_body(request, options, why);
	if (!error)
		error = take_method(request, options, why);
	if (!error)
		error = take_headers(request, options->headers, why);
	if (!error)
		error = take_limits(request, options, why);
	if (!error)
		error = take_tls(request, options, why);
	if (!error && options->proxy)
		error = crew__fetch_proxy_parse(options->proxy, &request->proxy, why);
	return error;
}

int crew__fetch_request_init(struct crew__fetch_request *request, const char *url,
	const crew_fetch_options *options, char *why)
{
	static const crew_fetch_options none;
	*request = (struct crew__fetch_request){ .file = -1 };
	int error = crew__fetch_place_parse(url, NULL, &request->to, why);
	return error ? error : take_options(request, options ? options : &none, why);
}

static void drop_body(struct crew__fetch_request *request)
{
	free(request->body);
	request->body = NULL;
	if (request->file >= 0)
		close(request->file);
	request->file = -1;
	request->source = CREW__FROM_NOWHERE;
	request->size = request->sent = 0;
}

static void drop_certificate(struct crew__fetch_request *request)
{
	free(request->tls_cert);
	free(request->tls_key);
	request->tls_cert = request->tls_key = NULL;
}

void crew__fetch_request_fini(struct crew__fetch_request *request)
{
	drop_body(request);
	drop_certificate(request);
	crew__fetch_place_fini(&request->to);
	crew__fetch_place_fini(&request->proxy);
	free(request->method);
	free(request->tls_ca);
	curl_slist_free_all(request->headers);
	*request = (struct crew__fetch_request){ .file = -1 };
}

/* ---- redirects ----------------------------------------------------------------------------- */

bool crew__fetch_is_redirect(int status, bool located)
{
	return located &&
	       (status == 301 || status == 302 || status == 303 || status == 307 || status == 308);
}

static bool becomes_get(const char *method, int status)
{
	if (status == 303)
		return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
	return (status == 301 || status == 302) && strcmp(method, "POST") == 0;
}

static int become_get(struct crew__fetch_request *request)
{
	static const char *const nothing[] = { NULL };
	char *method = strdup("GET");
	if (!method)
		return -ENOMEM;
	free(request->method);
	request->method = method;
	drop_body(request);
	drop_headers(request, nothing, "Content-");
	return 0;
}

/* Somebody else's server must not learn what was meant for this one. */
static void drop_credentials(struct crew__fetch_request *request)
{
	static const char *const names[] = { "Authorization", "Cookie", "Cookie2", "Host", NULL };
	drop_headers(request, names, NULL);
	drop_certificate(request);
}

static int check_place(
	const struct crew__fetch_request *request, const struct crew__fetch_place *next, char *why)
{
	if (request->to.tls && !next->tls) {
		refuse(why, "redirected from https to http://%.200s: that is not followed",
			next->host);
		return -EPROTO;
	}
	return 0;
}

static void go_to(struct crew__fetch_request *request, struct crew__fetch_place *take_next)
{
	if (crew__fetch_same_origin(&request->to, take_next)) {
		take_next->user = request->to.user;
		take_next->password = request->to.password;
		request->to.user = request->to.password = NULL;
	} else {
		drop_credentials(request);
	}
	crew__fetch_place_fini(&request->to);
	request->to = *take_next;
}

int crew__fetch_redirect(
	struct crew__fetch_request *request, int status, const char *location, char *why)
{
	if (request->redirects <= 0) {
		refuse(why, "redirected too often");
		return -EPROTO;
	}
	struct crew__fetch_place next;
	char cause[CREW__FETCH_WHY] = "";
	int error = crew__fetch_place_parse(location, &request->to, &next, cause);
	if (error) {
		refuse(why, "redirected to where nobody can go: %.200s", cause);
		return error == -EINVAL ? -EPROTO : error;
	}
	error = check_place(request, &next, why);
	if (!error && becomes_get(request->method, status))
		error = become_get(request);
	if (!error && !crew__fetch_rewind(request)) {
		refuse(why, "redirected to %.200s, but what was uploaded cannot be sent again",
			next.host);
		error = -EPROTO;
	}
	if (error) {
		crew__fetch_place_fini(&next);
		return error;
	}
	request->redirects--;
	go_to(request, &next);
	return 0;
}
