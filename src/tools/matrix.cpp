#include "tools/matrix.h"

#include <algorithm>
#include <cmath>

#include <Eigen/Dense>

#include "base/check.h"
#include "base/error.h"
#include "base/rng.h"

namespace lora::tools {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<const RowMajor>;
using Double = Eigen::MatrixXd;

constexpr int64_t kSmallSide = 192;   // up to here the whole decomposition is quick
constexpr int64_t kExtraColumns = 8;  // of a projection, at least
constexpr int kIterations = 4;

View view(const Matrix& a) { return {a.values.data(), a.rows, a.cols}; }

Matrix to_matrix(const Double& a) {
    Matrix out(a.rows(), a.cols());
    Eigen::Map<RowMajor>(out.values.data(), a.rows(), a.cols()) = a.cast<float>();
    return out;
}

void check_finite(const Matrix& a) {
    if (view(a).allFinite()) return;
    throw Error(ErrorCode::kNumeric, "a matrix to decompose holds a value that is not finite");
}

using Core = Eigen::BDCSVD<Double>;

std::vector<double> values_of(const Core& core) {
    const auto& s = core.singularValues();
    return {s.data(), s.data() + s.size()};
}

// Q of a QR decomposition times a small matrix; Q [m, r] of r columns.
Double times_q(const Eigen::HouseholderQR<Double>& qr, const Double& small) {
    Double padded = Double::Zero(qr.rows(), small.cols());
    padded.topRows(small.rows()) = small;
    padded.applyOnTheLeft(qr.householderQ());
    return padded;
}

Double upper_triangle(const Eigen::HouseholderQR<Double>& qr) {
    const Eigen::Index r = std::min(qr.rows(), qr.cols());
    return qr.matrixQR().topRows(r).triangularView<Eigen::Upper>();
}

// Of a tall matrix [m, n], m >= n.
Svd svd_of_tall(const Double& a) {
    const Eigen::HouseholderQR<Double> qr(a);
    const Core core(upper_triangle(qr), Eigen::ComputeThinU | Eigen::ComputeThinV);
    return {to_matrix(times_q(qr, core.matrixU())),
            values_of(core),
            to_matrix(core.matrixV().transpose())};
}

Svd transposed(Svd svd) {
    return {to_matrix(view(svd.v_t).transpose().cast<double>()),
            std::move(svd.s),
            to_matrix(view(svd.u).transpose().cast<double>())};
}

void truncate(Svd& svd, int64_t rank) {
    const auto kept = std::min<int64_t>(rank, static_cast<int64_t>(svd.s.size()));
    svd.s.resize(static_cast<size_t>(kept));
    svd.u = to_matrix(view(svd.u).leftCols(kept).cast<double>());
    svd.v_t = to_matrix(view(svd.v_t).topRows(kept).cast<double>());
}

// Orthonormal columns that span those of a [m, l].
Eigen::MatrixXf orthonormal(const Eigen::MatrixXf& a) {
    const Eigen::HouseholderQR<Eigen::MatrixXf> qr(a);
    Eigen::MatrixXf q = Eigen::MatrixXf::Identity(a.rows(), a.cols());
    q.applyOnTheLeft(qr.householderQ());
    return q;
}

}  // namespace

void add_product(const Matrix& a, const Matrix& b, double scale, Matrix& dst) {
    LORA_CHECK(a.cols == b.rows && dst.rows == a.rows && dst.cols == b.cols);
    Eigen::Map<RowMajor> out(dst.values.data(), dst.rows, dst.cols);
    out.noalias() += static_cast<float>(scale) * (view(a) * view(b));
}

Matrix product(const Matrix& a, const Matrix& b) {
    Matrix out(a.rows, b.cols);
    add_product(a, b, 1, out);
    return out;
}

double squared_norm(const Matrix& a) {
    double sum = 0;
    for (const float value : a.values) sum += static_cast<double>(value) * value;
    return sum;
}

Svd svd_of_product(const Matrix& a, const Matrix& b) {
    LORA_CHECK(a.cols == b.rows);
    if (a.cols >= std::min(a.rows, b.cols)) return svd(product(a, b));
    check_finite(a);
    check_finite(b);
    const Eigen::HouseholderQR<Double> left(view(a).cast<double>());
    const Eigen::HouseholderQR<Double> right(view(b).transpose().cast<double>());
    const Double between = upper_triangle(left) * upper_triangle(right).transpose();
    const Core core(between, Eigen::ComputeThinU | Eigen::ComputeThinV);
    return {to_matrix(times_q(left, core.matrixU())),
            values_of(core),
            to_matrix(times_q(right, core.matrixV()).transpose())};
}

Svd svd(const Matrix& a) {
    check_finite(a);
    if (a.rows >= a.cols) return svd_of_tall(view(a).cast<double>());
    return transposed(svd_of_tall(view(a).transpose().cast<double>()));
}

Svd leading_svd(const Matrix& a, int64_t rank) {
    const int64_t side = std::min(a.rows, a.cols);
    const int64_t width = rank + std::max(kExtraColumns, rank / 4);
    if (side <= kSmallSide || width >= side) {
        Svd whole = svd(a);
        truncate(whole, rank);
        return whole;
    }
    check_finite(a);
    Eigen::MatrixXf start(a.cols, width);
    Rng rng(0x6C6F7261);
    for (Eigen::Index i = 0; i < start.size(); ++i) {
        start.data()[i] = static_cast<float>(rng.normal());
    }
    Eigen::MatrixXf left = orthonormal(view(a) * start);
    for (int i = 0; i < kIterations; ++i) {
        const Eigen::MatrixXf right = orthonormal(view(a).transpose() * left);
        left = orthonormal(view(a) * right);
    }
    const Eigen::MatrixXf small = view(a).transpose() * left;  // [n, width]
    Svd inner = svd_of_tall(small.cast<double>());             // small = u s v_t
    Svd out{to_matrix((left * view(inner.v_t).transpose()).cast<double>()),
            std::move(inner.s),
            to_matrix(view(inner.u).transpose().cast<double>())};
    truncate(out, rank);
    return out;
}

}  // namespace lora::tools
