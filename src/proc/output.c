/* output.c - from bytes of a pipe to lines of the log. */
#include "proc/output.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	READ_SIZE = 64 * 1024,
	TELL_AFTER_MS = 1000,
	READS_AT_END = 2 * CREW__OUTPUT_PIPE_SIZE /
		       READ_SIZE /* a process it left may go on printing */
};

/* ---- lines --------------------------------------------------------------------------------- */

static void tell_left_out(struct crew__output *output)
{
	char text[96];
	int length = snprintf(text, sizeof(text),
		"%u lines of its output were left out (crew.capture_lines = %u a second)",
		output->rate.left_out, output->lines_most);
	output->rate.left_out = 0;
	crew__log_for(&output->origin, CREW_WARN, (crew_bytes){ text, (size_t)length });
}

static void on_tell(struct crew__timer *timer)
{
	struct crew__output *output = crew__container_of(timer, struct crew__output, tell);
	if (output->rate.left_out > 0)
		tell_left_out(output);
}

static bool allowed(struct crew__output *output)
{
	uint32_t left_out = 0;
	if (output->lines_most == 0)
		return true;
	if (!crew__log_allowed(&output->rate, output->lines_most, &left_out)) {
		if (output->tell.place == 0)
			(void)crew__timer_start(output->loop, &output->tell,
				crew__loop_ns(output->loop) + TELL_AFTER_MS * CREW__NS_PER_MS);
		return false;
	}
	if (left_out > 0) {
		output->rate.left_out = left_out;
		tell_left_out(output);
	}
	return true;
}

static void tell_line(struct crew__output_stream *stream)
{
	struct crew__output *output = stream->output;
	size_t length = stream->len;
	stream->len = 0;
	if (length > 0 && stream->line[length - 1] == '\r')
		length--;
	if (crew__log_wants(stream->level) && allowed(output))
		crew__log_for(&output->origin, stream->level, (crew_bytes){ stream->line, length });
}

static void take(struct crew__output_stream *stream, const char *data, size_t len)
{
	while (len > 0) {
		const char *end = memchr(data, '\n', len);
		size_t part = end ? (size_t)(end - data) : len;
		size_t room = sizeof(stream->line) - stream->len;
		size_t fits = crew__min(part, room);
		memcpy(stream->line + stream->len, data, fits);
		stream->len += fits;
		if (fits < part) {
			tell_line(stream);
		} else if (end) {
			tell_line(stream);
			fits++;
		}
		data += fits;
		len -= fits;
	}
}

/* ---- pipes --------------------------------------------------------------------------------- */

static void close_stream(struct crew__output_stream *stream)
{
	int fd = stream->source.fd;
	if (fd < 0)
		return;
	crew__loop_remove(stream->output->loop, &stream->source);
	close(fd);
	if (stream->len > 0)
		tell_line(stream);
}

/* False: nothing is there at present, or ever again. */
static bool read_some(struct crew__output_stream *stream)
{
	static char data[READ_SIZE]; /* one loop, one thread */
	ssize_t n = read(stream->source.fd, data, sizeof(data));
	if (n > 0)
		take(stream, data, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_stream(stream);
	return n > 0;
}

static void on_readable(struct crew__source *source, unsigned events)
{
	(void)events;
	read_some(crew__container_of(source, struct crew__output_stream, source));
}

void crew__output_init(struct crew__output *output, struct crew__loop *loop,
	const struct crew__log_origin *origin, uint32_t lines_most)
{
	static const crew_level levels[] = { CREW_INFO, CREW_WARN };
	memset(output, 0, sizeof(*output));
	output->loop = loop;
	output->origin = *origin;
	output->lines_most = lines_most;
	output->tell.fn = on_tell;
	for (int i = 0; i < 2; i++) {
		output->streams[i].output = output;
		output->streams[i].level = levels[i];
		output->streams[i].source = (struct crew__source){ .fn = on_readable, .fd = -1 };
	}
}

static int watch(struct crew__output_stream *stream, int fd)
{
	stream->source.fd = fd;
	int status = crew__loop_add(stream->output->loop, &stream->source, CREW__READ);
	if (status < 0)
		stream->source.fd = -1;
	return status;
}

static int open_stream(struct crew__output_stream *stream, int *ret_fd)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	/* A user has so much for pipes; beyond, it keeps the size it has. */
	(void)fcntl(ends[1], F_SETPIPE_SZ, CREW__OUTPUT_PIPE_SIZE);
	int status = watch(stream, ends[0]);
	if (status < 0) {
		close(ends[0]);
		close(ends[1]);
		return status;
	}
	*ret_fd = ends[1];
	return 0;
}

int crew__output_open(struct crew__output *output, int ret_fds[2])
{
	ret_fds[0] = ret_fds[1] = -1;
	int status = open_stream(&output->streams[0], &ret_fds[0]);
	if (status == 0)
		status = open_stream(&output->streams[1], &ret_fds[1]);
	if (status == 0)
		return 0;
	if (ret_fds[0] >= 0)
		close(ret_fds[0]);
	ret_fds[0] = -1;
	crew__output_end(output);
	return status;
}

void crew__output_end(struct crew__output *output)
{
	for (int i = 0; i < 2; i++) {
		struct crew__output_stream *stream = &output->streams[i];
		for (int reads = READS_AT_END; reads > 0 && stream->source.fd >= 0; reads--)
			if (!read_some(stream))
				break;
		close_stream(stream);
	}
	if (output->rate.left_out > 0)
		tell_left_out(output);
	if (output->loop)
		crew__timer_stop(output->loop, &output->tell);
}

/* ---- handing it over ----------------------------------------------------------------------- */

static const char *const names[] = { "stdout", "stderr" };

void crew__output_save(struct crew__output *output, json_t *into)
{
	for (int i = 0; i < 2; i++) {
		struct crew__output_stream *stream = &output->streams[i];
		if (stream->source.fd < 0)
			continue;
		if (stream->len > 0)
			tell_line(stream);
		json_object_set_new(into, names[i], json_integer(stream->source.fd));
	}
}

static bool is_pipe(json_int_t fd)
{
	struct stat found;
	return fd >= 0 && fd <= INT32_MAX && fstat((int)fd, &found) == 0 && S_ISFIFO(found.st_mode);
}

void crew__output_restore(struct crew__output *output, const json_t *from)
{
	for (int i = 0; i < 2; i++) {
		const json_t *number = json_object_get(from, names[i]);
		if (!json_is_integer(number) || !is_pipe(json_integer_value(number)))
			continue;
		int fd = (int)json_integer_value(number);
		if (watch(&output->streams[i], fd) < 0)
			close(fd);
	}
}

void crew__output_by_lines(void)
{
	if (is_pipe(STDOUT_FILENO))
		setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
}

/* ---- debuggers ----------------------------------------------------------------------------- */

bool crew__output_traced(void)
{
	char line[128];
	int tracer = 0;
	FILE *status = fopen("/proc/self/status", "re");
	if (!status)
		return false;
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	fclose(status);
	return tracer != 0;
}
