/* fetch.c - a program that makes HTTP requests on command. The scenario tests speak to it in lines;
 * what comes of a request is told as a line to all who are connected:
 *
 *   NAME done STATUS REDIRECTS LENGTH CRC BODY   an answer: CRC-32 of the whole body, its first
 * bytes NAME failed ERROR WHY                        ERROR as strerrorname_np: "ETIMEDOUT"
 *
 * Commands; each gets one line back, "ok ..." or "error ERROR":
 *
 *   connect NAME URL [OPTION=VALUE ...]   make a request; options: those of crew_fetch_options,
 *       header=NAME:VALUE, parts=1 (the body comes by on_body, each part refused once),
 *       upload=BYTES (by on_upload, with pauses)
 *   stop NAME, header NAME FIELD (of an answer), under (how many are under way) */
#define _GNU_SOURCE /* strerrorname_np */
#include <crew/crew.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HEADERS_MOST = 8,
	NAME_MOST = 32,
	BODY_SHOWN = 60
};

struct job {
	struct job *next;
	char name[NAME_MOST];
	int64_t id;
	size_t length, upload;
	uint32_t sum;
	bool refused;
	char body[BODY_SHOWN + 1];
	char fields[2048];
};

static struct job *jobs; /* those that are over stay, for `header` */
static crew_worker *here;

static const crew_service control;

static void to_each(crew_conn *c, void *arg)
{
	crew_send(c, crew_str(arg));
}

static struct job *find(const char *name)
{
	struct job *job = jobs;
	while (job && strcmp(job->name, name) != 0)
		job = job->next;
	return job;
}

/* ---- what comes of it ---------------------------------------------------------------------- */

static void take(struct job *job, crew_bytes part)
{
	for (size_t i = 0; i < part.len && job->length + i < BODY_SHOWN; i++) {
		char byte = part.data[i];
		job->body[job->length + i] = byte >= ' ' && byte <= '~' ? byte : '.';
	}
	for (size_t i = 0; i < part.len; i++)
		job->sum = (job->sum ^ (unsigned char)part.data[i]) * 16777619u;
	job->length += part.len;
}

static void resume(crew_worker *w, void *arg)
{
	(void)w;
	crew_fetch_resume(*(int64_t *)arg);
	free(arg);
}

static int64_t wait_a_little(int64_t id)
{
	int64_t *later = malloc(sizeof(*later));
	if (!later)
		return -ENOMEM;
	*later = id;
	if (crew_timer_after(here, 1, resume, later) < 0)
		free(later);
	return -EAGAIN;
}

static int on_body(int64_t id, int status, crew_bytes part, void *arg)
{
	struct job *job = arg;
	(void)status;
	job->refused = !job->refused;
	if (job->refused)
		return (int)wait_a_little(id);
	take(job, part);
	return 0;
}

static int64_t on_upload(int64_t id, char *room, size_t size, void *arg)
{
	struct job *job = arg;
	job->refused = !job->refused;
	if (job->upload > 0 && job->refused)
		return wait_a_little(id);
	size_t len = job->upload < size ? job->upload : size;
	memset(room, 'u', len);
	job->upload -= len;
	return (int64_t)len;
}

static void keep_fields(struct job *job, const crew_fetched *f)
{
	size_t at = 0;
	for (size_t i = 0; i < f->header_count && at < sizeof(job->fields); i++)
		at += (size_t)snprintf(job->fields + at, sizeof(job->fields) - at, "%s=%s\n",
			f->headers[i].name.data, f->headers[i].value.data);
}

static void on_done(const crew_fetched *f, void *arg)
{
	struct job *job = arg;
	char line[1024];
	take(job, f->body);
	keep_fields(job, f);
	if (f->error)
		snprintf(line, sizeof(line), "%s failed %s %s", job->name,
			strerrorname_np(-f->error), f->why);
	else
		snprintf(line, sizeof(line), "%s done %d %u %zu %08x %s", job->name, f->status,
			f->redirects, job->length, job->sum, job->body);
	crew_each(&control, to_each, line);
}

/* ---- commands ------------------------------------------------------------------------------ */

struct asked {
	crew_fetch_options options;
	crew_header headers[HEADERS_MOST + 1];
	size_t header_count;
};

static void add_header(struct asked *asked, char *value)
{
	char *colon = strchr(value, ':');
	if (!colon || asked->header_count == HEADERS_MOST)
		return;
	crew_bytes name = { value, (size_t)(colon - value) };
	asked->headers[asked->header_count++] = (crew_header){ name, crew_str(colon + 1) };
	asked->options.headers = asked->headers;
}

static void set_text(crew_fetch_options *o, const char *key, const char *value)
{
	const struct {
		const char *key;
		const char **place;
	} texts[] = {
		{ "method", &o->method },
		{ "body_file", &o->body_file },
		{ "proxy", &o->proxy },
		{ "tls_ca", &o->tls_ca },
		{ "tls_cert", &o->tls_cert },
		{ "tls_key", &o->tls_key },
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].key, key) == 0)
			*texts[i].place = value;
}

static void set_number(crew_fetch_options *o, const char *key, const char *value)
{
	const struct {
		const char *key;
		int64_t *place;
	} numbers[] = {
		{ "timeout_ms", &o->timeout_ms },
		{ "connect_timeout_ms", &o->connect_timeout_ms },
		{ "max_body", &o->max_body },
		{ "upload_size", &o->upload_size },
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(numbers[i].key, key) == 0)
			*numbers[i].place = atoll(value);
}

static void set_option(struct asked *asked, struct job *job, const char *key, char *value)
{
	crew_fetch_options *o = &asked->options;
	set_text(o, key, value);
	set_number(o, key, value);
	if (strcmp(key, "header") == 0)
		add_header(asked, value);
	else if (strcmp(key, "body") == 0)
		o->body = crew_str(value);
	else if (strcmp(key, "redirects") == 0)
		o->redirects = atoi(value);
	else if (strcmp(key, "tls_insecure") == 0)
		o->tls_insecure = true;
	else if (strcmp(key, "as_is") == 0)
		o->compressed_as_is = true;
	else if (strcmp(key, "parts") == 0)
		o->on_body = on_body;
	else if (strcmp(key, "upload") == 0)
		o->on_upload = on_upload, job->upload = strtoul(value, NULL, 10);
}

static int64_t begin(char *rest)
{
	struct asked asked = { 0 };
	const char *name = strtok_r(rest, " ", &rest), *url = strtok_r(NULL, " ", &rest);
	struct job *job = calloc(1, sizeof(*job));
	if (!job || !url)
		abort();
	job->sum = 2166136261u;
	snprintf(job->name, sizeof(job->name), "%s", name);
	for (char *word; (word = strtok_r(NULL, " ", &rest)) != NULL;) {
		char *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		set_option(&asked, job, word, value ? value : word + strlen(word));
	}
	asked.options.on_done = on_done;
	asked.options.arg = job;
	job->id = crew_fetch(url, &asked.options);
	int64_t id = job->id;
	if (id < 0) {
		free(job);
		return id;
	}
	job->next = jobs;
	jobs = job;
	return id;
}

static void show_field(const struct job *job, const char *field, char *line, size_t size)
{
	char key[128];
	snprintf(key, sizeof(key), "%s=", field);
	const char *at = job ? strstr(job->fields, key) : NULL;
	int len = at ? (int)strcspn(at + strlen(key), "\n") : 1;
	snprintf(line, size, "ok %.*s", len, at ? at + strlen(key) : "-");
}

static void on_message(crew_conn *c, crew_msg msg)
{
	char text[2048], line[2048];
	here = crew_worker_of(c);
	snprintf(text, sizeof(text), "%.*s", (int)msg.body.len, msg.body.data);
	char *rest = text, *verb = strtok_r(rest, " ", &rest);
	int64_t error = 0;
	snprintf(line, sizeof(line), "ok");
	if (!verb) {
		error = -EINVAL;
	} else if (strcmp(verb, "connect") == 0) {
		error = begin(rest);
	} else if (strcmp(verb, "stop") == 0) {
		struct job *job = find(rest);
		error = job ? crew_fetch_stop(job->id) : -ENOENT;
	} else if (strcmp(verb, "header") == 0) {
		struct job *job = find(strtok_r(NULL, " ", &rest));
		show_field(job, rest, line, sizeof(line));
	} else if (strcmp(verb, "under") == 0) {
		snprintf(line, sizeof(line), "ok %llu",
			(unsigned long long)crew_worker_counter(here, "fetching"));
	} else {
		error = -ENOSYS;
	}
	if (error < 0)
		snprintf(line, sizeof(line), "error %s", strerrorname_np((int)-error));
	crew_send(c, crew_str(line));
}

static void on_worker_stop(crew_worker *w)
{
	(void)w;
	while (jobs) {
		struct job *job = jobs;
		jobs = job->next;
		free(job);
	}
}

static const crew_service control = {
	.name = "control",
	.listen = "text://127.0.0.1:7070",
	.on_message = on_message,
	.on_worker_stop = on_worker_stop,
};

int main(int argc, char **argv)
{
	return crew_main(argc, argv, &(crew_app){ .services = { &control } });
}
