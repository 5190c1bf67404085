// Times one convolution of oneDNN 2 or 3 for package bench.
//
//   onednn any|nhwc|nchw|winograd
//
// prints {"ready":true}, then answers each line
//
//   conv DIR N C H W K R S SH SW PT PL PB PR DH DW G MIN_NS
//
// (DIR is fwd, bwd-data or bwd-weights; dilations are 1 for none) with {"ns":X}:
// the time of a call, from as many calls as take MIN_NS, or 0 if the library has
// no such algorithm. The argument is the layout of the activations; any and
// winograd let the library choose its own for all tensors.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <unordered_map>
#include <vector>

using namespace dnnl;
using dims = memory::dims;

static engine eng(engine::kind::cpu, 0);
static stream strm(eng);

struct job {
    primitive call;
    std::unordered_map<int, memory> args;
    std::vector<std::shared_ptr<void>> owned;

    // add makes a tensor of values in [-1, 1] an argument. It lies as ours do: a
    // large one on huge pages.
    void add(int arg, const memory::desc &d)
    {
        const size_t huge = 2 << 20;
        size_t size = d.get_size(), align = size < huge ? 64 : huge;
        std::shared_ptr<void> p(aligned_alloc(align, (size + align) / align * align), free);
        if (!p)
            throw std::bad_alloc();
        if (align == huge)
            madvise(p.get(), size / huge * huge, MADV_HUGEPAGE);
        float *x = static_cast<float *>(p.get());
        for (size_t i = 0; i < size / sizeof(float); i++)
            x[i] = float(i * 7 % 23) / 11 - 1;
        args[arg] = memory(d, eng, x);
        owned.push_back(p);
    }
};

static job make(const std::string &mode, const std::string &dir, const long *v)
{
    long n = v[0], c = v[1], h = v[2], w = v[3], k = v[4], r = v[5], s = v[6], sh = v[7], sw = v[8];
    long pt = v[9], pl = v[10], pb = v[11], pr = v[12], dh = v[13], dw = v[14], g = v[15];
    long oh = (h + pt + pb - dh * (r - 1) - 1) / sh + 1, ow = (w + pl + pr - dw * (s - 1) - 1) / sw + 1;
    using tag = memory::format_tag;
    tag act = mode == "nhwc" ? tag::nhwc : mode == "nchw" ? tag::nchw : tag::any;
    auto f32 = memory::data_type::f32;
    memory::desc src({n, c, h, w}, f32, act), dst({n, k, oh, ow}, f32, act);
    memory::desc wei(g == 1 ? dims{k, c, r, s} : dims{g, k / g, c / g, r, s}, f32, tag::any);
    dims strides{sh, sw}, dil{dh - 1, dw - 1}, lo{pt, pl}, hi{pb, pr};
    auto algo = mode == "winograd" ? algorithm::convolution_winograd : algorithm::convolution_direct;
    primitive_attr attr;
    attr.set_scratchpad_mode(scratchpad_mode::user);
#if DNNL_VERSION_MAJOR >= 3
    convolution_forward::primitive_desc fpd(eng, prop_kind::forward_training, algo, src, wei, dst, strides, dil, lo, hi, attr);
#else
    convolution_forward::primitive_desc fpd({prop_kind::forward_training, algo, src, wei, dst, strides, dil, lo, hi}, attr, eng);
#endif
    job j;
    if (dir == "fwd") {
        j.call = convolution_forward(fpd);
        j.add(DNNL_ARG_SRC, fpd.src_desc());
        j.add(DNNL_ARG_WEIGHTS, fpd.weights_desc());
        j.add(DNNL_ARG_DST, fpd.dst_desc());
        j.add(DNNL_ARG_SCRATCHPAD, fpd.scratchpad_desc());
    } else if (dir == "bwd-data") {
#if DNNL_VERSION_MAJOR >= 3
        convolution_backward_data::primitive_desc pd(eng, algo, src, wei, dst, strides, dil, lo, hi, fpd, attr);
#else
        convolution_backward_data::primitive_desc pd({algo, src, wei, dst, strides, dil, lo, hi}, attr, eng, fpd);
#endif
        j.call = convolution_backward_data(pd);
        j.add(DNNL_ARG_DIFF_SRC, pd.diff_src_desc());
        j.add(DNNL_ARG_WEIGHTS, pd.weights_desc());
        j.add(DNNL_ARG_DIFF_DST, pd.diff_dst_desc());
        j.add(DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc());
    } else {
#if DNNL_VERSION_MAJOR >= 3
        convolution_backward_weights::primitive_desc pd(eng, algo, src, wei, dst, strides, dil, lo, hi, fpd, attr);
#else
        convolution_backward_weights::primitive_desc pd({algo, src, wei, dst, strides, dil, lo, hi}, attr, eng, fpd);
#endif
        j.call = convolution_backward_weights(pd);
        j.add(DNNL_ARG_SRC, pd.src_desc());
        j.add(DNNL_ARG_DIFF_WEIGHTS, pd.diff_weights_desc());
        j.add(DNNL_ARG_DIFF_DST, pd.diff_dst_desc());
        j.add(DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc());
    }
    return j;
}

static double now()
{
    using namespace std::chrono;
    return duration<double, std::nano>(steady_clock::now().time_since_epoch()).count();
}

int main(int argc, char **argv)
{
    std::string mode = argc == 2 ? argv[1] : "any";
    std::cout << "{\"ready\":true}" << std::endl;
    std::string line, current;
    job j;
    bool ok = false;
    while (std::getline(std::cin, line)) {
        std::istringstream in(line);
        std::string op, dir;
        long v[16];
        double min_ns;
        in >> op >> dir;
        for (long &x : v)
            in >> x;
        in >> min_ns;
        if (!in || op != "conv") {
            std::cerr << "onednn: bad request: " << line << std::endl;
            return 1;
        }
        if (line != current) {
            current = line;
            try {
                j = make(mode, dir, v);
                j.call.execute(strm, j.args);
                strm.wait();
                ok = true;
            } catch (const error &) {
                ok = false;
            }
        }
        if (!ok) {
            std::cout << "{\"ns\":0}" << std::endl;
            continue;
        }
        double start = now(), t;
        long calls = 0;
        do {
            j.call.execute(strm, j.args);
            strm.wait();
            calls++;
            t = now();
        } while (t - start < min_ns);
        printf("{\"ns\":%.1f}\n", (t - start) / calls);
        fflush(stdout);
    }
}
