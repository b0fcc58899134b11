/* replay.c - runs a driver once on each of some files, without libFuzzer: with any compiler, in the
 * tests, in a debugger.
 *
 *   replay_NAME PATH...    files, or directories whose files are meant
 *
 * Status 1 when something cannot be read, or when there was nothing to run. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned inputs;

static bool complain(const char *path)
{
	fprintf(stderr, "replay: cannot read %s: %s\n", path, strerror(errno));
	return false;
}

static bool read_all(int fd, char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = read(fd, data + at, len - at);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static bool run_file(const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0)
		return complain(path);
	size_t len = (size_t)status.st_size;
	char *data = malloc(len);
	bool good = (data || len == 0) && read_all(fd, data, len);
	close(fd);
	if (good) {
		fprintf(stderr, "%s\n", path); /* the last line before a crash names its input */
		LLVMFuzzerTestOneInput((const uint8_t *)data, len);
		inputs++;
	}
	free(data);
	return good || complain(path);
}

static bool run_directory(const char *path, DIR *directory)
{
	bool good = true;
	for (struct dirent *entry; (entry = readdir(directory));) {
		char file[4096];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		good = run_file(file) && good;
	}
	return good;
}

static bool run(const char *path)
{
	DIR *directory = opendir(path);
	if (!directory)
		return run_file(path);
	bool good = run_directory(path, directory);
	closedir(directory);
	return good;
}

int main(int argc, char **argv)
{
	bool good = true;
	for (int i = 1; i < argc; i++)
		good = run(argv[i]) && good;
	printf("%u inputs\n", inputs);
	return good && inputs > 0 ? 0 : 1;
}
