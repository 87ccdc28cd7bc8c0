/* What the C library allocates for a program comes from the program's malloc. */
#include "check.h"

#include <dirent.h>
#include <wchar.h>

static void check_ours(void *block) {
    CHECK(block != NULL);
    CHECK(!ours() || pymalloc_owns(block));
    free(block);
}

int main(void) {
    check_whose();
    char *text = NULL, long_text[3000];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    check_ours(strdup(long_text));
    check_ours(strndup(long_text, 10));
    check_ours(wcsdup(L"wide"));
    CHECK(asprintf(&text, "%s and %d", long_text, 5) > 3000);
    check_ours(text);
    check_ours(realpath("/", NULL));
    check_ours(getcwd(NULL, 0));

    size_t room = 0;
    text = NULL;
    FILE *file = fmemopen(long_text, sizeof long_text, "r");
    CHECK(file != NULL && getline(&text, &room, file) > 2000);
    fclose(file);
    check_ours(text);

    text = NULL;
    file = open_memstream(&text, &room);
    for (int i = 0; i < 1000; i++)
        fprintf(file, "%d ", i);
    fclose(file);
    CHECK(strlen(text) == room);
    check_ours(text);

    DIR *folder = opendir("/");
    CHECK(folder != NULL && (!ours() || pymalloc_owns(folder)));
    closedir(folder);
    struct dirent **names;
    int count = scandir("/", &names, NULL, alphasort);
    CHECK(count > 2);
    while (count-- > 0)
        check_ours(names[count]);
    check_ours(names);
    done();
}
