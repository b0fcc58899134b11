/* core_dumps.c - limits, and words about where dumps go. */
#include "proc/core_dumps.h"

#include "base/log.h"
#include "stats/layout.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define PATTERN "/proc/sys/kernel/core_pattern"

/* As much as is allowed; root may allow itself more. Returns the limit in force. */
static rlim_t raise_limit(void)
{
	struct rlimit most = { RLIM_INFINITY, RLIM_INFINITY }, limit;
	if (setrlimit(RLIMIT_CORE, &most) == 0)
		return RLIM_INFINITY;
	if (getrlimit(RLIMIT_CORE, &limit) != 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_CORE, &limit);
	return limit.rlim_cur;
}

static bool read_pattern(char *text, size_t size)
{
	int fd = open(PATTERN, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return length > 0;
}

static void tell_where(const char *pattern)
{
	char cwd[1024];
	if (pattern[0] == '|')
		crew__log(CREW_INFO,
			"core dumps of workers are given to a program: %s (" PATTERN
			"; if it is systemd-coredump, 'coredumpctl' shows them)",
			pattern + 1);
	else if (pattern[0] == '/')
		crew__log(CREW_INFO, "core dumps of workers go to %s (" PATTERN ")", pattern);
	else if (pattern[0] == '\0')
		crew__log(CREW_WARN,
			"there will be no core dumps: " PATTERN " is empty; write a path to it");
	else
		crew__log(CREW_INFO,
			"core dumps of workers go to the file '%s' in their directory, %s, if their "
			"user may write there (" PATTERN ")",
			pattern, getcwd(cwd, sizeof(cwd)) ? cwd : "which is gone");
}

void crew__core_dumps_begin(void)
{
	char pattern[256];
	rlim_t limit = raise_limit();
	if (limit == 0)
		crew__log(CREW_WARN,
			"there will be no core dumps: the hard limit is 0; raise it (ulimit -Hc "
			"unlimited, LimitCORE=infinity in a unit) before the program is started");
	else if (read_pattern(pattern, sizeof(pattern)))
		tell_where(pattern);
	else
		crew__log(
			CREW_WARN, "where core dumps go is not known: " PATTERN " cannot be read");
	if (limit != 0 && limit != RLIM_INFINITY)
		crew__log(CREW_WARN,
			"core dumps longer than %" PRIu64 " bytes are cut: that is the hard limit",
			(uint64_t)limit);
}

void crew__core_dumps_allow(void)
{
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
		crew__log(CREW_WARN, "there will be no core dump of this worker: %s",
			strerror(errno));
}

static void spare(const struct crew__segment *segment, uint64_t begin, uint64_t end)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	begin = (begin + page - 1) / page * page;
	end = end / page * page;
	if (begin < end)
		madvise((char *)segment->header + begin, end - begin, MADV_DONTDUMP);
}

/* The totals and the hot records stay, to which connections lead. */
void crew__core_dumps_spare(const struct crew__segment *segment)
{
	struct crew__layout layout;
	if (crew__layout_check(segment, &layout))
		return;
	spare(segment, layout.events_offset, layout.records_offset);
	spare(segment, layout.cold_offset, layout.size);
}
