// What a handler throws from a nothrow new has nowhere to go.
#include <new>
#include <stddef.h>

int main() {
    volatile size_t much = (size_t)1 << 60;
    std::set_new_handler([] { throw 1; });
    return operator new(much, std::nothrow) == nullptr;
}
